// Opens a picture file of the reader's, and saves what was drawn.

const LARGEST_FILE = 2 ** 23; // bytes; the server cuts the connection at a message of 10 MB

function render({ model, el }) {
  el.classList.add("paint-tools", "elastic-file");
  const row = element(el, "div", { class: "row" });
  const open = element(row, "button", { type: "button" }, model.get("open_text"));
  const input = element(row, "input", { type: "file", accept: "image/*", hidden: "" });
  const said = element(el, "div", { class: "said", role: "status" });
  open.hidden = !model.get("open_text");
  open.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) upload(input.files[0]);
    input.value = "";
  });

  async function upload(file) {
    if (file.size > LARGEST_FILE) {
      const megabytes = (bytes) => Math.round(bytes / 2 ** 20);
      said.textContent = `${file.name} has ${megabytes(file.size)} MB, and the page takes up to ${megabytes(LARGEST_FILE)}; make the picture smaller.`;
      return;
    }
    said.textContent = "";
    const bytes = await file.arrayBuffer();
    model.send({ kind: "open", name: file.name }, undefined, [bytes]);
  }

  function save(message, buffers) {
    if (message.kind !== "file") return;
    const address = URL.createObjectURL(new Blob([bytesOf(buffers[0])], { type: message.type }));
    const link = element(el, "a", { href: address, download: message.name, hidden: "" });
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  const tell = () => { said.textContent = model.get("said"); };
  model.on("change:said", tell);
  model.on("msg:custom", save);
  tell();
  return () => {
    model.off("change:said", tell);
    model.off("msg:custom", save);
  };
}

export default { render };
