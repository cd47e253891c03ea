package purge

// MergeByArrival is a broken Merge: the order that arrives last wins. Simulations
// must find out.
func (t *Table) MergeByArrival(p Page) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range p.Orders {
		e := t.all
		if o.Target.Scope != ScopeAll {
			e = t.index.get(o.Target)
		}
		h := &held{Order: o}
		r := e.regs.Load()
		var before *held
		if r != nil {
			if before = r.hold; o.Action == Purge {
				before = r.purge
			}
		}
		t.replace(before, h)
		t.set(e, r.with(h))
		t.file(h)
	}
	for node, n := range p.Covers {
		t.vector[node] = max(t.vector[node], n)
	}
	t.rebase()
}

// ParseRecordAndBack reads a record of the journal and writes it again.
func ParseRecordAndBack(b []byte) ([]byte, error) {
	rec, err := parseRecord(b)
	if err != nil {
		return nil, err
	}
	return rec.append(nil), nil
}
