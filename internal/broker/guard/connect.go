package guard

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/moult-ota/moult/internal/wire/mqttpacket"
)

// A connect is what a CONNECT packet says (§3.1), as far as it is passed on.
type connect struct {
	ClientID    string
	Username    string
	Password    string
	KeepAlive   uint16 // seconds
	WillTopic   string // empty: no will
	WillMessage string
	WillRetain  bool
}

// Answers to CONNECT (§3.2.2.3).
const (
	refusedVersion byte = 1
	refusedID      byte = 2
	refusedServer  byte = 3
	refusedLogin   byte = 5
)

// The flags of CONNECT.
const (
	flagClean    = 1 << 1
	flagWill     = 1 << 2
	flagWillQoS  = 3 << 3
	flagRetain   = 1 << 5
	flagPassword = 1 << 6
	flagUsername = 1 << 7
)

// alive is how long the client may be silent, and half as much again.
func (c connect) alive() time.Duration { return time.Duration(c.KeepAlive) * time.Second * 3 / 2 }

// connectOf reads a CONNECT packet's body. refused is the answer to give with
// an error; 0 for none.
func connectOf(p []byte, l Limits) (c connect, refused byte, err error) {
	name, p, err := text(p, 8)
	if err != nil || name != "MQTT" || len(p) < 4 {
		return c, 0, fmt.Errorf("%w: not MQTT 3.1.1", errPacket)
	}
	level, flags := p[0], p[1]
	c.KeepAlive, p = binary.BigEndian.Uint16(p[2:]), p[4:]
	if level != 4 {
		return c, refusedVersion, fmt.Errorf("MQTT level %d, want 4, which is 3.1.1", level)
	}
	if flags&1 != 0 || flags&flagWillQoS == flagWillQoS || flags&flagWill == 0 && flags&(flagWillQoS|flagRetain) != 0 {
		return c, 0, fmt.Errorf("%w: flags %08b", errPacket, flags)
	}
	if flags&flagUsername == 0 || flags&flagPassword == 0 {
		return c, refusedLogin, fmt.Errorf("no user name or no password")
	}
	if most := uint16(min(l.KeepAlive/time.Second, 0xffff)); c.KeepAlive == 0 || c.KeepAlive > most {
		c.KeepAlive = most
	}
	c.WillRetain = flags&flagRetain != 0
	return c, 0, c.texts(p, flags&flagWill != 0, l)
}

// texts reads what follows the flags, in the order of §3.1.3.
func (c *connect) texts(p []byte, will bool, l Limits) (err error) {
	if c.ClientID, p, err = text(p, l.Topic); err != nil {
		return err
	}
	if will {
		if c.WillTopic, p, err = text(p, l.Topic); err != nil {
			return err
		}
		if c.WillMessage, p, err = text(p, l.ConnectPacket); err != nil {
			return err
		}
		if c.WillTopic == "" {
			return fmt.Errorf("%w: will without a topic", errPacket)
		}
	}
	if c.Username, p, err = text(p, l.Topic); err != nil {
		return err
	}
	if c.Password, p, err = text(p, l.ConnectPacket); err != nil {
		return err
	}
	if len(p) > 0 {
		return fmt.Errorf("%w: %d bytes after the password", errPacket, len(p))
	}
	return nil
}

// appendConnect writes c as a whole packet with a clean session, and a will of
// QoS 0.
func appendConnect(dst []byte, c connect) []byte {
	flags := byte(flagClean | flagUsername | flagPassword)
	body := appendText(nil, "MQTT")
	if c.WillTopic != "" {
		flags |= flagWill
		if c.WillRetain {
			flags |= flagRetain
		}
	}
	body = append(body, 4, flags)
	body = binary.BigEndian.AppendUint16(body, c.KeepAlive)
	body = appendText(body, c.ClientID)
	if c.WillTopic != "" {
		body = appendText(appendText(body, c.WillTopic), c.WillMessage)
	}
	body = appendText(appendText(body, c.Username), c.Password)
	return append(mqttpacket.AppendHead(dst, kindConnect<<4, len(body)), body...)
}
