package artifact

// headerInfo3 takes the fields of header-info in version 3:
//
//	{"payloads":[{"type":"rootfs-image"}],
//	 "artifact_provides":{"artifact_name":"…","artifact_group":"…"},
//	 "artifact_depends":{"device_type":["…"],"artifact_name":["…"],"artifact_group":["…"]}}
func (p *headerParser) headerInfo3(o *object) {
	payloads, _ := o.list("payloads")
	p.payload(o, payloads)

	provides := o.object("artifact_provides")
	p.Name, _ = provides.text(keyName)
	p.Group, _ = provides.text(keyGroup)
	o.err = provides.done()

	depends := o.object("artifact_depends")
	p.DeviceTypes, _ = depends.texts(keyDeviceType)
	p.depend(depends, keyName)
	p.depend(depends, keyGroup)
	o.err = depends.done()
	p.identity(o)
}

// headerInfo2 takes the fields of header-info in version 2:
//
//	{"artifact_name":"…","updates":[{"type":"rootfs-image"}],"device_types_compatible":["…"]}
func (p *headerParser) headerInfo2(o *object) {
	updates, _ := o.list("updates")
	p.payload(o, updates)
	p.Name, _ = o.text(keyName)
	p.DeviceTypes, _ = o.texts("device_types_compatible")
	p.identity(o)
}

// payload takes the type of the only payload; null is a bootstrap artifact.
func (p *headerParser) payload(o *object, payloads []any) {
	switch len(payloads) {
	case 0:
		o.fail(RuleMissing, "no payload")
		return
	case 1:
	default:
		o.fail(RuleTwoPayloads, "%d payloads, only one is supported", len(payloads))
		return
	}
	fields, ok := payloads[0].(map[string]any)
	if !ok {
		o.fail(RuleJSON, "payload is not an object")
		return
	}
	payload := &object{where: o.where, fields: fields, err: o.err}
	var typed bool
	p.PayloadType, typed = payload.text("type")
	p.payloadNull = !typed
	if typed {
		payload.name("payload type", p.PayloadType)
		if err := checkFileName(p.PayloadType); err != nil { // it names a program on the device
			payload.fail(RuleName, "payload type: %v", err)
		}
	}
	o.err = payload.done()
}

func (p *headerParser) depend(o *object, key string) {
	values, ok := o.texts(key)
	if !ok {
		return
	}
	for _, v := range values {
		o.name(key, v)
	}
	p.Depends[key] = values
}

// identity checks what every artifact has, and merges it.
func (p *headerParser) identity(o *object) {
	o.name(keyName, p.Name)
	p.Provides[keyName] = p.Name
	if p.Group != "" {
		o.name(keyGroup, p.Group)
		p.Provides[keyGroup] = p.Group
	}
	if len(p.DeviceTypes) == 0 {
		o.fail(RuleMissing, "no device type")
	}
	for _, d := range p.DeviceTypes {
		o.name(keyDeviceType, d)
	}
	p.Depends[keyDeviceType] = p.DeviceTypes
}

func (o *object) name(what, s string) {
	if err := checkText(what, s); err != nil {
		o.fail(RuleName, "%v", err)
	}
}

// typeInfo takes the fields of type-info:
//
//	{"type":"rootfs-image","artifact_provides":{"k":"v"},
//	 "artifact_depends":{"k":"v","l":["v","w"]},"clears_artifact_provides":["k.*"]}
func (p *headerParser) typeInfo(o *object) {
	p.checkType(o)
	p.mergeProvides(o, o.object("artifact_provides"))
	p.mergeDepends(o, o.object("artifact_depends"))
	p.Clears, p.ClearsSet = o.texts("clears_artifact_provides")
	if !p.ClearsSet {
		p.Clears = nil
	}
}

// checkType wants the type of header-info. For rootfs-image the tools before
// 4.3.1 wrote "".
func (p *headerParser) checkType(o *object) {
	got, typed := o.text("type")
	if typed && got == "" && p.PayloadType == "rootfs-image" {
		return
	}
	if got != p.PayloadType || typed == p.payloadNull {
		o.fail(RuleType, "type %q, header-info says %q", got, p.PayloadType)
	}
}

func (p *headerParser) mergeProvides(o, provides *object) {
	for _, key := range sortedKeys(provides.fields) {
		value, ok := provides.text(key)
		if !ok {
			provides.fail(RuleJSON, "provide %s is not a string", key)
		}
		if _, twice := p.Provides[key]; twice {
			provides.fail(RuleDuplicate, "provide %s is in header-info too", key)
		}
		if key == keyDeviceType {
			provides.fail(RuleUnknown, "an artifact cannot provide %s", key)
		}
		p.Provides[key] = value
	}
	o.err = provides.done()
}

func (p *headerParser) mergeDepends(o, depends *object) {
	for _, key := range sortedKeys(depends.fields) {
		if _, twice := p.Depends[key]; twice {
			depends.fail(RuleDuplicate, "depend %s is in header-info too", key)
		}
		if s, ok := depends.fields[key].(string); ok {
			p.Depends[key] = []string{s}
			delete(depends.fields, key)
			continue
		}
		values, ok := depends.texts(key)
		if !ok {
			depends.fail(RuleJSON, "depend %s is neither a string nor a list of them", key)
		}
		p.Depends[key] = values
	}
	o.err = depends.done()
}
