// How bytes travel. A Transport opens links; a link carries messages of whole frames, in order, until it closes.

/** What a link tells. After closed it tells nothing more. */
export interface Hearing {
  opened(): void;
  received(message: Uint8Array): void;
  closed(): void;
}

/** A connection, or one that is being made. */
export interface Link {
  /** Sends a message. Before opened and after closed it is dropped. */
  send(message: Uint8Array): void;
  /** Ends it. closed is told afterwards, never during the call. */
  close(): void;
  /** Bytes that wait to be sent. */
  readonly waiting: number;
}

/** Opens links. */
export interface Transport {
  open(url: string, hearing: Hearing): Link;
}

/** The real one: a WebSocket with binary messages. */
export class WebSocketTransport implements Transport {
  open(url: string, hearing: Hearing): Link {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      hearing.closed();
    };
    socket.addEventListener("open", () => over || hearing.opened());
    socket.addEventListener("message", (event) => {
      if (!over && event.data instanceof ArrayBuffer) hearing.received(new Uint8Array(event.data));
    });
    socket.addEventListener("close", end);
    return {
      send: (message) => {
        if (!over && socket.readyState === WebSocket.OPEN) socket.send(message as Uint8Array<ArrayBuffer>);
      },
      close: () => {
        socket.close();
        queueMicrotask(end); // the browser may wait a minute for the other side's close
      },
      get waiting() {
        return socket.bufferedAmount;
      },
    };
  }
}
