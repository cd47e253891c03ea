// Sends a file to be a machine image, and says how far it is.
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const state = document.getElementById("upload-state"), bar = form.querySelector("progress"), button = form.querySelector("button");
  const { csrf } = document.body.dataset;

  form.elements.file.addEventListener("change", () => {
    const [file] = form.elements.file.files;
    if (!file) return;
    form.elements.name.value ||= file.name.replace(/\.[^.]*$/, "");
    form.elements.format.value = /\.qcow2$/i.test(file.name) ? "qcow2" : "raw";
  });

  const say = (text, bad) => { state.textContent = text; state.className = bad ? "problem" : "muted"; };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0];
    const query = new URLSearchParams({ name: form.elements.name.value, format: form.elements.format.value });
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.action}?${query}`);
    request.setRequestHeader("X-Csrf-Token", csrf);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    const end = (text, bad) => { say(text, bad); button.disabled = false; bar.hidden = true; };
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = loaded / total;
      say(loaded < total ? texts.sending.replace("{0}", Math.floor(100 * loaded / total)) : texts.checking);
    });
    request.addEventListener("error", () => end(texts.failed, true));
    request.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* not from the console: the text below says enough */ }
      if (request.status === 201) {
        form.reset();
        end(texts.done);
        htmx.trigger("#image-rows", "seen");
      } else end([answer.problem || texts.failed, answer.detail].filter(Boolean).join(" "), true);
    });
    button.disabled = true;
    bar.hidden = false;
    bar.value = 0;
    request.send(file);
  });
})();
