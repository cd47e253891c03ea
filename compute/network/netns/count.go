package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A guest that begins connections without end, or to whom somebody does, would
// fill the table in which the kernel tracks those of its whole network, and
// nobody's would be tracked any more. So each filtered port may have a number of
// them that it began, and as many that began towards it; what is beyond is
// dropped. What was let in before stays, and frees its place when it ends.

// countName is the name of the table that counts. It says nothing of who is on
// the network, so it stays when rules and ports change, and what it has counted
// with it: whoever may change a rule could else begin anew with each.
const countName = "kamado-count"

// refusedName is the object that counts what was dropped.
const refusedName = "refused"

// The sets of who has connections, by the card's address: each element holds its
// connections. The kernel takes elements away that have none.
const (
	beganName    = "began"
	receivedName = "received"
)

// countPriority is behind the rules': what they refuse is no connection.
const countPriority = 1

// counting gives the table that bounds connections, nil when max is 0.
func counting(track tracking, max int) *table {
	if max <= 0 {
		return nil
	}
	if track == trackBridge {
		return countBridged(max)
	}
	t := countTable(nftables.TableFamilyINet, nftables.TypeEtherAddr)
	from := rule{markAny(marksEgress, 0), ctNew(), connections(payload(link, offEtherSrc, 6), "link+6", beganName, max), refused(), drop()}
	to := rule{markAny(marksIngress, hostPort<<16), ctNew(), connections(payload(link, offEtherDst, 6), "link+0", receivedName, max), refused(), drop()}
	t.chain("forward", hookForward(countPriority, false), from, to)
	t.chain("input", hookCount, from) // of DHCP, metadata and echo, to us
	return t
}

// countBridged counts by the card's name, which the bridge family sees.
func countBridged(max int) *table {
	t := countTable(nftables.TableFamilyBridge, nftables.TypeIFName)
	from := rule{isTap(expr.MetaKeyIIFNAME, "iif"), ctNew(), connections(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, "iif", beganName, max), refused(), drop()}
	to := rule{isTap(expr.MetaKeyOIFNAME, "oif"), ctNew(), connections(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, "oif", receivedName, max), refused(), drop()}
	t.chain("forward", hookForward(priorityFilter+countPriority, false), from, to)
	return t
}

func countTable(family nftables.TableFamily, key nftables.SetDatatype) *table {
	return &table{name: countName, family: family, counter: refusedName,
		sets: []*set{{name: beganName, key: key, dynamic: true}, {name: receivedName, key: key, dynamic: true}}}
}

// connections is met when whoever key says has more connections than max. The
// kernel looks through those of one, at most once in a tick of its clock.
func connections(key expr.Any, text, set string, max int) stmt {
	return stmt{fmt.Sprintf("@%s connections in @%s over %d", text, set, max), []expr.Any{key,
		&expr.Dynset{SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_ADD,
			Exprs: []expr.Any{&expr.Connlimit{Count: uint32(max), Flags: expr.NFT_CONNLIMIT_F_INV}}}}}
}

func refused() stmt {
	return stmt{"count " + refusedName, []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: refusedName}}}
}

// isTap is met by cards of guests.
func isTap(key expr.MetaKey, text string) stmt {
	return stmt{text + " tap*", []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte("tap")}}}
}

// connectionsMax is how many connections a port may have in each direction; 0:
// any number.
func (e *Engine) connectionsMax() int {
	if !e.counts {
		return 0
	}
	return e.cfg.ConnectionsMax
}

// probeCount says whether the kernel can count connections.
func probeCount(ns *namespace, track tracking) bool {
	_, err := applyTables(ns, []*table{counting(track, 1)})
	return err == nil
}

// refusalsEvery is how often what was dropped is asked for: a few tenths of a
// millisecond for each network.
const refusalsEvery = 30 * time.Second

// countRefusals tells the metrics what was dropped, until ctx ends.
func (e *Engine) countRefusals(ctx context.Context) {
	if e.cfg.Metrics == nil || !e.counts {
		return
	}
	tick := time.NewTicker(refusalsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.lookForRefusals()
		}
	}
}

func (e *Engine) lookForRefusals() {
	e.mu.Lock()
	networks := e.state.Networks
	e.mu.Unlock()
	for _, n := range networks {
		ns, err := openNamespace(e.namespace(kindNetwork, n.ID))
		if err != nil { // it is going away
			continue
		}
		dropped, err := refusals(ns, e.track)
		ns.Close()
		if err != nil {
			e.log.Debug("refused connections could not be counted", "network", n.ID, "error", err)
		}
		e.cfg.Metrics.Refused(dropped)
	}
}

// refusals gives how many packets were dropped in a network because they would
// have begun a connection too many, since it was asked last.
func refusals(ns *namespace, track tracking) (int, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(int(ns.fd)))
	if err != nil {
		return 0, err
	}
	t := &nftables.Table{Name: countName, Family: nftables.TableFamilyINet}
	if track == trackBridge {
		t.Family = nftables.TableFamilyBridge
	}
	list, err := conn.ResetNamedObjects(t)
	if errors.Is(err, os.ErrNotExist) { // not made yet
		return 0, nil
	}
	n := 0
	for _, o := range list {
		if o, ok := o.(*nftables.NamedObj); ok {
			if c, ok := o.Obj.(*expr.Counter); ok {
				n += int(c.Packets)
			}
		}
	}
	return n, err
}
