// Joins the page to the display: the address's "path" names the WebSocket, ticket included.
import RFB from "./novnc-1.7.0.min.js";

const say = (text) => { document.getElementById("status").textContent = text; };
const path = new URLSearchParams(location.search).get("path") || "";
const url = (location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/" + path;

const rfb = new RFB(document.getElementById("screen"), url, { wsProtocols: ["binary"] });
rfb.scaleViewport = true;
rfb.resizeSession = false;
const cad = document.getElementById("cad");
rfb.addEventListener("connect", () => { say("Connected"); cad.disabled = false; rfb.focus(); });
rfb.addEventListener("disconnect", (e) => {
  cad.disabled = true;
  say(e.detail.clean ? "The instance ended the connection." : "Not connected: the address has expired, or the instance is off. Ask for a fresh one.");
});
cad.addEventListener("click", () => rfb.sendCtrlAltDel());
