// Package durability holds no code: its tests run the game server as a process, kill
// it at random moments while clients give, spend and reserve points over HTTP, and
// hold what clients were told against what the server then has. A control, in which
// answers are given before they are true, must be caught.
package durability
