package server_test

import (
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
)

// TestOwnedIsWrittenByServices: nobody gives himself what the world says a user owns, neither by one write nor in a batch.
func TestOwnedIsWrittenByServices(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	ann := w.guest()
	hats := "entities/" + ann.UID.String() + "/owned.hats"
	w.want(403, "PUT", hats, ann.AccessToken, "crown")
	w.want(403, "POST", "entities/batch", ann.AccessToken, `{"operations":[{"op":"put","name":"mine","value":"eA=="},{"op":"put","name":"owned.hats","value":"eA=="}]}`)
	w.want(404, "GET", "entities/"+ann.UID.String()+"/mine", ann.AccessToken, "") // nothing of the batch was done
	w.want(200, "PUT", hats, w.service, "cap")
	if a := w.want(200, "GET", hats, ann.AccessToken, ""); string(a.body) != "cap" {
		t.Errorf("hats %q", a.body)
	}
	w.want(403, "DELETE", hats, ann.AccessToken, "")
	w.want(403, "POST", "entities/batch", ann.AccessToken, `{"operations":[{"op":"delete","name":"owned.hats"}]}`)
	w.want(200, "POST", "entities/batch", ann.AccessToken, `{"operations":[{"op":"get","name":"owned.hats"}]}`)
	w.want(200, "PUT", "entities/"+ann.UID.String()+"/owned", ann.AccessToken, "x") // the name alone is not the prefix
	w.want(204, "DELETE", hats, w.operator, "")
}

// TestBatchNamesItsUser: a service that names no user writes nowhere.
func TestBatchNamesItsUser(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	w.want(400, "POST", "entities/batch", w.service, `{"operations":[{"op":"put","name":"a","value":"eA=="}]}`)
	door := "entities/" + game.WorldUID.String() + "/area.plaza.1"
	w.want(200, "PUT", door, w.service, "open")         // the world's own, which is no user
	w.want(403, "GET", door, w.guest().AccessToken, "") // not even the first one's, in a new place
}

// TestCoreRowsNeedAdmin: only an admin service reaches the ledger and the users as they are, and it hears what is wrong with somebody else in
// the answer.
func TestCoreRowsNeedAdmin(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	ann := w.guest()
	order := `{"op":"grant","tx":"u1:x","uid":"` + ann.UID.String() + `","amount":5,"by":"user 1"}`
	for _, token := range []string{w.service, ann.AccessToken} {
		w.want(403, "POST", "core/orders", token, order)
		w.want(403, "POST", "core/principals", token, `{"credentials":["x"]}`)
	}
	var got api.CorePrincipals
	w.want(200, "POST", "core/principals", w.operator, `{"credentials":["x","`+ann.AccessToken+`","`+w.service+`"]}`).into(t, &got)
	if p := got.Principals; len(p) != 3 || p[0].Fault == nil || p[0].Fault.Kind != "unauthenticated" || p[1].UID != ann.UID || p[2].Service == "" || len(p[2].Scopes) != 4 {
		t.Errorf("principals %+v", got)
	}
	var a api.CoreAnswer
	w.want(200, "POST", "core/orders", w.operator, order).into(t, &a)
	if a.Posting == nil || a.Posting.Tx != "u1:x" || a.Posting.By != "user 1" || a.Again {
		t.Errorf("answer %+v", a)
	}
	w.want(200, "POST", "core/orders", w.operator, `{"op":"merge","tx":"m","uid":"1","to":"2"}`).into(t, &a)
	if a.Fault == nil || a.Fault.Kind != "invalid" {
		t.Errorf("a merge: %+v", a)
	}
	var l api.CoreLogin
	w.want(200, "POST", "core/logins", w.operator, `{"how":"guest","secret":"`+ann.DeviceSecret+`","address":"192.0.2.1"}`).into(t, &l)
	if l.Tokens == nil || l.Tokens.UID != ann.UID {
		t.Errorf("login %+v", l)
	}
}
