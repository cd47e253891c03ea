// Rooms in which avatars walk, as users of Colyseus write them: "state" keeps positions in a state that its schema
// synchronises every 50 ms, the default; "broadcast" sends each move to the others at once.
//
//   node colyseus.mjs PORT
import { MapSchema, Schema, defineTypes } from "@colyseus/schema";
import { Room, Server } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";

class Avatar extends Schema {}
defineTypes(Avatar, { x: "uint16", y: "uint16" });

class World extends Schema {
  constructor() {
    super();
    this.avatars = new MapSchema();
  }
}
defineTypes(World, { avatars: { map: Avatar } });

class StateRoom extends Room {
  onCreate(options) {
    this.maxClients = options.room;
    this.setSeatReservationTime(120);
    this.setPatchRate(50);
    this.state = new World();
    this.onMessage("move", (client, { x, y }) => {
      const avatar = this.state.avatars.get(client.sessionId);
      avatar.x = x;
      avatar.y = y;
    });
  }

  onJoin(client, { x, y }) {
    const avatar = new Avatar();
    avatar.x = x;
    avatar.y = y;
    this.state.avatars.set(client.sessionId, avatar);
  }

  onLeave(client) {
    this.state.avatars.delete(client.sessionId);
  }
}

class BroadcastRoom extends Room {
  onCreate(options) {
    this.maxClients = options.room;
    this.setSeatReservationTime(120);
    this.onMessage("move", (client, { x, y }) => {
      this.broadcast("moved", { id: client.sessionId, x, y }, { except: client });
    });
  }
}

const server = new Server({ greet: false, transport: new WebSocketTransport() });
server.define("state", StateRoom);
server.define("broadcast", BroadcastRoom);
await server.listen(Number(process.argv[2]), "127.0.0.1");
