package gen

// method is a call that every world answers.
type method struct {
	Name, Request, Answer string // messages; an empty answer has no body
	Who                   string
	What                  string
}

// methods are those of game/calls and game/world.
var methods = []method{
	{"points.account", "PointsAccountRequest", "PointsAccount", "a user for itself; a service with scope points", "shows an account"},
	{"points.grant", "PointsGrant", "PointsPosting", "a service with scope points", "gives points; kind `denied` above the amount that needs an approval"},
	{"points.spend", "PointsSpend", "PointsPosting", "a user for itself; a service with scope points", "takes points"},
	{"points.transfer", "PointsTransfer", "PointsPosting", "a user from itself, where the world allows it; a service with scope points", "gives points of one user to another"},
	{"points.reserve", "PointsReserve", "PointsPosting", "a user for itself; a service with scope points", "holds points"},
	{"points.confirm", "PointsEnd", "PointsPosting", "a user for itself; a service with scope points", "spends what a reservation holds"},
	{"points.cancel", "PointsEnd", "PointsPosting", "a user for itself; a service with scope points", "frees what a reservation holds"},
	{"entities.get", "EntityGet", "EntityValue", "a user for itself; a service with scope entities", "reads a value; kind `not found` when there is none"},
	{"entities.put", "EntityPut", "EntityVersion", "a user for itself, but for names that begin with `owned.`; a service with scope entities", "writes or deletes a value; kind `conflict` when it has another version"},
	{"entities.list", "EntityList", "EntityPage", "a user for itself; a service with scope entities", "lists values by name; limit 1 to 1000, 0: 100"},
	{"locks.acquire", "LockAcquire", "LockGrant", "a user for names that begin with `user.UID.`; a service with scope locks", "takes a lock; kind `conflict` when somebody has it"},
	{"locks.renew", "LockProof", "LockGrant", "a user for names that begin with `user.UID.`; a service with scope locks", "keeps a lock for another term"},
	{"locks.release", "LockProof", "", "a user for names that begin with `user.UID.`; a service with scope locks", "gives a lock back"},
	{"friends.add", "FriendChange", "Friend", "a user", "adds a friend, and tells of the one; at most 500"},
	{"friends.remove", "FriendChange", "", "a user", "removes a friend"},
	{"friends.list", "", "Friends", "a user", "lists the caller's friends, with where they are when both have added each other"},
	{"areas.list", "", "Areas", "anybody", "lists the areas of the world"},
}
