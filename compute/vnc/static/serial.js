// A plain terminal: it shows what the guest writes, without its colours, and sends what is typed.
const say = (text) => { document.getElementById("status").textContent = text; };
const screen = document.getElementById("terminal");
const path = new URLSearchParams(location.search).get("path") || "";
const socket = new WebSocket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/" + path, ["binary"]);
socket.binaryType = "arraybuffer";
const decode = new TextDecoder();
const encode = new TextEncoder();
const keep = 200000; // characters

let text = "";
function show(more) {
  // Escape sequences (ECMA-48) are dropped; a backspace takes the character before it.
  more = more.replace(/\x1b\[[0-9;?]*[ -\/]*[@-~]|\x1b[()][0-9A-B]|\x1b[=>78cDEHM]|\r(?!\n)|\x07/g, "").replace(/\r\n/g, "\n");
  for (const c of more) text = c === "\b" ? text.slice(0, -1) : text + c;
  text = text.slice(-keep);
  screen.textContent = text;
  screen.parentElement.scrollTop = screen.parentElement.scrollHeight;
}

socket.onopen = () => { say("Connected: click and type"); screen.focus(); };
socket.onclose = () => say("Not connected: the address has expired, or the instance is off. Ask for a fresh one.");
socket.onmessage = (e) => show(decode.decode(new Uint8Array(e.data), { stream: true }));
const send = (s) => { if (socket.readyState === 1) socket.send(encode.encode(s)); };
const special = { Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D", Delete: "\x1b[3~", Home: "\x1b[H", End: "\x1b[F" };
screen.addEventListener("keydown", (e) => {
  if (e.metaKey || e.altKey) return;
  let s = special[e.key];
  if (!s && e.ctrlKey && /^[a-z@[\\\]^_]$/i.test(e.key)) s = String.fromCharCode(e.key.toUpperCase().charCodeAt(0) & 31);
  if (!s && !e.ctrlKey && e.key.length === 1) s = e.key;
  if (s) { e.preventDefault(); send(s); }
});
screen.addEventListener("paste", (e) => { e.preventDefault(); send(e.clipboardData.getData("text")); });
