package message

// ReadZoneWithin is ReadZone with smaller bounds.
var ReadZoneWithin = readZone
