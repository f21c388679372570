package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moult-ota/moult/internal/auth"
	"github.com/moult-ota/moult/internal/control"
	"github.com/moult-ota/moult/internal/deployment"
)

func (a *api) deployments() {
	tags := []string{"deployments"}
	add(a, auth.Read, huma.Operation{
		OperationID: "list-deployments", Method: http.MethodGet, Path: "/deployments", Summary: "List deployments, the newest first", Tags: tags,
	}, a.listDeployments)
	add(a, auth.Deploy, huma.Operation{
		OperationID: "create-deployment", Method: http.MethodPost, Path: "/deployments", Summary: "Send a release to devices",
		Description: "The set of devices is fixed now: a device accepted later is not in it.", Tags: tags, DefaultStatus: http.StatusCreated,
	}, a.createDeployment)
	add(a, auth.Read, huma.Operation{
		OperationID: "show-deployment", Method: http.MethodGet, Path: "/deployments/{id}", Summary: "Show a deployment with its counts", Tags: tags,
	}, a.showDeployment)
	add(a, auth.Deploy, huma.Operation{
		OperationID: "abort-deployment", Method: http.MethodPost, Path: "/deployments/{id}/abort", Summary: "Stop a deployment: devices that have not ended are canceled",
		Tags: tags, DefaultStatus: http.StatusOK,
	}, a.abortDeployment)
	add(a, auth.Deploy, huma.Operation{
		OperationID: "retry-deployment", Method: http.MethodPost, Path: "/deployments/{id}/retry", Summary: "Give failed and rolled-back devices a fresh attempt",
		Tags: tags, DefaultStatus: http.StatusOK,
	}, a.retryDeployment)
}

type deploymentsIn struct {
	Paging
	Status  string `query:"status" enum:"active,finished,aborted" doc:"Only these"`
	Release string `query:"release" maxLength:"256" doc:"Only of this release"`
}

func (a *api) listDeployments(ctx context.Context, in *deploymentsIn) (*pageOut[Deployment], error) {
	l, err := a.control.Deployments(ctx, control.DeploymentQuery{
		Status: deployment.Status(in.Status), Release: in.Release, Page: in.page(),
	})
	if err != nil {
		return nil, err
	}
	return paged(&in.Paging, l, deploymentShape), nil
}

// NewDeployment is what create-deployment takes.
type NewDeployment struct {
	Name    string `json:"name,omitempty" maxLength:"256" doc:"For people; the release's name when absent"`
	Release string `json:"release" minLength:"1" maxLength:"256"`
	Target  Target `json:"target"`
	Retries int    `json:"retries,omitempty" minimum:"0" maximum:"100" doc:"Fresh attempts that a device gets after failed or rolled-back"`
}

type createDeploymentIn struct {
	Idempotency
	Body NewDeployment
}

func (a *api) createDeployment(ctx context.Context, in *createDeploymentIn) (*onceOut[Deployment], error) {
	return once(ctx, a, &in.Idempotency, in.Body, func() (Deployment, error) {
		target, err := targetOf(in.Body.Target)
		if err != nil {
			return Deployment{}, err
		}
		d, err := a.control.CreateDeployment(ctx, control.NewDeployment{
			Name: in.Body.Name, Release: in.Body.Release, Target: target, Retries: in.Body.Retries, CreatedBy: auth.From(ctx).Name,
		})
		return deploymentShape(d), err
	})
}

type deploymentIn struct {
	ID string `path:"id" maxLength:"128"`
}

type deploymentOut struct{ Body Deployment }

func (a *api) showDeployment(ctx context.Context, in *deploymentIn) (*deploymentOut, error) {
	d, err := a.control.Deployment(ctx, deployment.ID(in.ID))
	if err != nil {
		return nil, err
	}
	return &deploymentOut{Body: deploymentShape(d)}, nil
}

type actIn struct {
	Idempotency
	ID string `path:"id" maxLength:"128"`
}

func (a *api) abortDeployment(ctx context.Context, in *actIn) (*onceOut[Deployment], error) {
	return once(ctx, a, &in.Idempotency, nil, func() (Deployment, error) {
		if err := a.control.AbortDeployment(ctx, deployment.ID(in.ID)); err != nil {
			return Deployment{}, err
		}
		d, err := a.control.Deployment(ctx, deployment.ID(in.ID))
		return deploymentShape(d), err
	})
}

// Retried says how many devices got a fresh attempt.
type Retried struct {
	Devices int `json:"devices"`
}

func (a *api) retryDeployment(ctx context.Context, in *actIn) (*onceOut[Retried], error) {
	return once(ctx, a, &in.Idempotency, nil, func() (Retried, error) {
		n, err := a.control.RetryDeployment(ctx, deployment.ID(in.ID))
		return Retried{Devices: n}, err
	})
}
