package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/auth"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/device"
)

func (a *api) assignments() {
	tags := []string{"deployments"}
	add(a, auth.Read, huma.Operation{
		OperationID: "list-assignments", Method: http.MethodGet, Path: "/deployments/{id}/assignments", Summary: "List each device's part in a deployment", Tags: tags,
	}, a.listAssignments)
	add(a, auth.Read, huma.Operation{
		OperationID: "list-transitions", Method: http.MethodGet, Path: "/deployments/{id}/assignments/{device}/transitions",
		Summary: "List the steps that a device took, the first first", Tags: tags,
	}, a.listTransitions)
	add(a, auth.Read, huma.Operation{
		OperationID: "show-log", Method: http.MethodGet, Path: "/deployments/{id}/assignments/{device}/log",
		Summary: "Read a device's log of a deployment", Tags: tags,
		Responses: map[string]*huma.Response{"200": {Description: "The log", Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: "string"}},
		}}},
	}, a.showLog)
}

type assignmentsIn struct {
	Paging
	ID    string `path:"id" maxLength:"128"`
	State string `query:"state" enum:"pending,offered,downloading,installing,rebooting,trying,done,failed,rolled-back,refused,canceled,skipped" doc:"Only these"`
}

func (a *api) listAssignments(ctx context.Context, in *assignmentsIn) (*pageOut[Assignment], error) {
	l, err := a.control.Assignments(ctx, deployment.ID(in.ID), control.AssignmentQuery{
		State: deployment.State(in.State), Page: in.page(),
	})
	if err != nil {
		return nil, err
	}
	return paged(&in.Paging, l, assignmentShape), nil
}

type assignmentIn struct {
	ID     string `path:"id" maxLength:"128"`
	Device string `path:"device" maxLength:"128"`
}

type transitionsOut struct{ Body Page[Transition] }

func (a *api) listTransitions(ctx context.Context, in *assignmentIn) (*transitionsOut, error) {
	list, err := a.control.Transitions(ctx, deployment.ID(in.ID), device.ID(in.Device))
	if err != nil {
		return nil, err
	}
	out := &transitionsOut{}
	out.Body.Items = shapes(list, transitionShape)
	return out, nil
}

type logOut struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *api) showLog(ctx context.Context, in *assignmentIn) (*logOut, error) {
	text, err := a.control.DeploymentLog(ctx, deployment.ID(in.ID), device.ID(in.Device))
	if err != nil {
		return nil, err
	}
	return &logOut{ContentType: "text/plain; charset=utf-8", Body: text}, nil
}
