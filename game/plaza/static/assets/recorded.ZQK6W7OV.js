import{U as a,V as b,W as c,X as d}from"./chunk.DKIRWCGX.js";export{d as RecordedTransport,c as Recorder,b as parseRecording,a as recordedMax};
