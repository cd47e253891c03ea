// Package bench measures what a picture costs: the CPU time, the bytes, the
// likeness and the memory of the built program, beside those peers that are
// installed, on the same originals, alternating in one run.
//
// Vocabulary: a subject is something that can make a rendition (kamado, sharp,
// imgproxy, vipsthumbnail, ImageMagick, nginx); a job is one original with a size; a
// batch is the jobs of one class done by one subject; a round is a batch of
// every subject, in an order that changes from round to round; a class is
// originals of like size and coding ("12 MP", "12 MP progressive"); a part is one
// kind of figure (Parts); a row is a line of the table of figures, with what is to
// be reached and whether it is. Two more measurements stand beside Run: RunStore,
// very many originals and a restart, and RunTier, Varnish in front against none.
//
// Invariants: kamado is measured as it is served, by a process of its own with
// every cache off; a picture counts only when it arrived whole, as a JPEG of
// exactly the size asked for; a cost is the CPU of all its processes divided by
// the pictures that counted, so that a refused picture makes the others dearer
// and never cheaper. Where a choice favours one side, it favours the peer. The
// numbers are about this machine at this moment: a verdict compares them with a
// bar, and nothing fails by it.
package bench
