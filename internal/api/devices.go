package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/auth"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/device"
)

func (a *api) devices() {
	add(a, auth.Read, huma.Operation{
		OperationID: "list-devices", Method: http.MethodGet, Path: "/devices", Summary: "List devices", Tags: []string{"devices"},
	}, a.listDevices)
	add(a, auth.Read, huma.Operation{
		OperationID: "count-devices", Method: http.MethodGet, Path: "/devices/count", Summary: "Count devices by status", Tags: []string{"devices"},
	}, a.countDevices)
	add(a, auth.Read, huma.Operation{
		OperationID: "show-device", Method: http.MethodGet, Path: "/devices/{id}", Summary: "Show all that is known of a device", Tags: []string{"devices"},
	}, a.showDevice)
	add(a, auth.Device, huma.Operation{
		OperationID: "preauthorize-device", Method: http.MethodPost, Path: "/devices", Summary: "Expect a device: its first request with this key is accepted",
		Tags: []string{"devices"}, DefaultStatus: http.StatusCreated,
	}, a.preauthorize)
	add(a, auth.Device, huma.Operation{
		OperationID: "set-device-status", Method: http.MethodPut, Path: "/devices/{id}/status", Summary: "Accept or reject a device",
		Tags: []string{"devices"}, DefaultStatus: http.StatusNoContent,
	}, a.setDeviceStatus)
	add(a, auth.Device, huma.Operation{
		OperationID: "decommission-device", Method: http.MethodDelete, Path: "/devices/{id}", Summary: "Let a device go for good; its history stays",
		Tags: []string{"devices"}, DefaultStatus: http.StatusNoContent,
	}, a.decommission)
}

type devicesIn struct {
	Paging
	Status  string `query:"status" enum:"pending,accepted,rejected,preauthorized,decommissioned" doc:"Only these"`
	Type    string `query:"type" maxLength:"256" doc:"Only this device type"`
	Release string `query:"release" maxLength:"256" doc:"Only devices that run it"`
	Filter  string `query:"filter" maxLength:"4096" doc:"Inventory filter"`
}

func (a *api) listDevices(ctx context.Context, in *devicesIn) (*pageOut[Device], error) {
	l, err := a.control.Devices(ctx, control.DeviceQuery{
		Status: device.Status(in.Status), Type: in.Type, Release: in.Release, Filter: in.Filter, Page: in.page(),
	})
	if err != nil {
		return nil, err
	}
	return paged(&in.Paging, l, deviceShape), nil
}

// DeviceCount says how many devices there are.
type DeviceCount struct {
	Counts map[string]int `json:"counts" doc:"Devices by status"`
	Total  int            `json:"total"`
}

type countOut struct{ Body DeviceCount }

func (a *api) countDevices(ctx context.Context, _ *struct{}) (*countOut, error) {
	counts, err := a.control.CountDevices(ctx)
	if err != nil {
		return nil, err
	}
	out := &countOut{}
	out.Body.Counts = map[string]int{}
	for status, n := range counts {
		out.Body.Counts[string(status)] = n
		out.Body.Total += n
	}
	return out, nil
}

type showDeviceIn struct {
	ID          string `path:"id" maxLength:"128"`
	IfNoneMatch string `header:"If-None-Match" doc:"An ETag; 304 when it still holds"`
}

type showDeviceOut struct {
	ETag string `header:"ETag"`
	Body DeviceDetail
}

func (a *api) showDevice(ctx context.Context, in *showDeviceIn) (*showDeviceOut, error) {
	d, err := a.control.Device(ctx, device.ID(in.ID))
	if err != nil {
		return nil, err
	}
	tag := `"` + d.Version + `"`
	if in.IfNoneMatch == tag {
		return nil, huma.Status304NotModified()
	}
	return &showDeviceOut{ETag: tag, Body: deviceDetailShape(d)}, nil
}

// NewDevice is what preauthorize-device takes.
type NewDevice struct {
	Identity map[string]any `json:"identity" minProperties:"1" doc:"What the device will call itself"`
	Key      string         `json:"key" minLength:"1" maxLength:"8192" doc:"Public key, PEM SubjectPublicKeyInfo"`
}

type preauthorizeIn struct {
	Idempotency
	Body NewDevice
}

// Named is the answer to a request that made something.
type Named struct {
	ID string `json:"id"`
}

func (a *api) preauthorize(ctx context.Context, in *preauthorizeIn) (*onceOut[Named], error) {
	return once(ctx, a, &in.Idempotency, in.Body, func() (Named, error) {
		identity, err := identityOf(in.Body.Identity)
		if err != nil {
			return Named{}, err
		}
		id, err := a.control.Preauthorize(ctx, identity, in.Body.Key)
		return Named{ID: string(id)}, err
	})
}

// NewStatus is what set-device-status takes.
type NewStatus struct {
	Status      string `json:"status" enum:"accepted,rejected"`
	Fingerprint string `json:"fingerprint,omitempty" maxLength:"128" doc:"Which of its keys; the newest when absent"`
}

type setStatusIn struct {
	ID      string `path:"id" maxLength:"128"`
	IfMatch string `header:"If-Match" doc:"The ETag that the decision was made on; 412 when the device changed since"`
	Body    NewStatus
}

func (a *api) setDeviceStatus(ctx context.Context, in *setStatusIn) (*struct{}, error) {
	return nil, a.control.SetDeviceStatus(ctx, device.ID(in.ID), device.Status(in.Body.Status), in.Body.Fingerprint, unquote(in.IfMatch))
}

type deviceIn struct {
	ID string `path:"id" maxLength:"128"`
}

func (a *api) decommission(ctx context.Context, in *deviceIn) (*struct{}, error) {
	return nil, a.control.Decommission(ctx, device.ID(in.ID))
}
