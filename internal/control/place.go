package control

import (
	"errors"

	"github.com/moult-ota/moult/internal/deployment"
	"github.com/moult-ota/moult/internal/fleet"
	"github.com/moult-ota/moult/internal/store"
)

// place stores an assignment that was in another state, with the transition.
// An empty was means that the device had no row: it is in the deployment by
// its type or because all are. The last end of a deployment finishes it.
func (ch *change) place(a deployment.Assignment, was deployment.State) error {
	a.UpdatedAt = ch.at
	ch.forget = append(ch.forget, a.Device)
	if was == a.State { // another artifact, or another word of the device
		return ch.UpdateAssignment(a)
	}
	var err error
	if was == "" {
		was = deployment.Pending
		err = errors.Join(ch.InsertAssignment(a), ch.LessImplied(a.Deployment))
	} else {
		err = ch.UpdateAssignment(a)
	}
	if err != nil {
		return err
	}
	if err := ch.AddTransition(deployment.Transition{Deployment: a.Deployment, Device: a.Device,
		From: was, To: a.State, Detail: a.Detail, At: ch.at}); err != nil {
		return err
	}
	if a.State.Final() {
		return ch.finish(a.Deployment)
	}
	return nil
}

// finish ends an active deployment when no device is under way any more.
func (ch *change) finish(id deployment.ID) error {
	open, err := ch.CountOpen(id)
	if err != nil || open > 0 {
		return err
	}
	d, err := ch.BareDeployment(id)
	if err != nil || d.Status != deployment.Active {
		return err
	}
	d.Status, d.FinishedAt = deployment.Finished, ch.at
	return ch.storeStatus(d)
}

// storeStatus stores a deployment whose status changed, and tells of it.
func (ch *change) storeStatus(d store.Deployment) error {
	ch.deployments = true
	if err := ch.UpdateDeployment(d); err != nil {
		return err
	}
	return ch.AddEvent(fleet.Event{At: ch.at, Kind: fleet.KindDeployment, Deployment: d.ID, Detail: string(d.Status)})
}

// materialise gives a device its row in every deployment that it is in
// without one, before it changes in a way that would take it out. Counts do
// not change: they have counted it all along.
func (ch *change) materialise(d store.Device) error {
	all, err := ch.ImpliedDeployments()
	if err != nil {
		return err
	}
	for _, p := range all {
		if !implied(p, d.Device, d.Member) {
			continue
		}
		_, err := ch.Assignment(p.ID, d.ID)
		if errors.Is(err, store.ErrNotFound) {
			err = errors.Join(ch.InsertAssignment(impliedRow(p, d.ID)), ch.LessImplied(p.ID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leave ends a device's part in every active deployment.
func (ch *change) leave(d store.Device, why string) error {
	if err := ch.materialise(d); err != nil {
		return err
	}
	open, err := ch.OpenAssignments(d.ID)
	if err != nil {
		return err
	}
	for _, a := range open {
		was := a.State
		a.State, a.Detail = deployment.Canceled, why
		if err := ch.place(a, was); err != nil {
			return err
		}
	}
	return nil
}
