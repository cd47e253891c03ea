// Package plaza is the world that comes with the program: the page at /plaza/, and the
// rules of its shop and of how people dress. It is an application of package game like any
// other, and is meant to be read as an example.
//
// Vocabulary. A look is what an avatar wears, as the client sends it with Join: JSON of at most
// game.LookBytesMax bytes. An item is a thing that the shop sells: a hat, or a pattern of a
// coat. A wardrobe is what a user owns, the entity "owned.wardrobe"; the entity "avatar" is
// how the user is called and looks. A purchase is one wish to buy one item; its id is chosen by the client, so
// that asking twice buys once. A bundle is the files of the page, made from src by esbuild and named after
// what is in them.
//
// Invariants. Nobody wears what is not in the wardrobe. An item is in the wardrobe without being paid
// only between the reservation and its end; whoever reads the wardrobe then finishes the purchase: paid, or taken
// out again. Points are confirmed after the item was written, so a crash costs nobody points without
// an item. A file with a hash in its name never changes.
//
// Start reading at shop.go for the rules, and at src/main.ts for the page.
package plaza
