// Completion of the last word of a condition, in every box that is marked for it.
"use strict";
(() => {
  const told = document.getElementById("fields");
  if (!told) return;
  const words = ["and", "or", "not", "has", "any", "all", "known"].map((name) => ({ name, help: "" }));
  const fields = [...JSON.parse(told.textContent), ...words];
  for (const box of document.querySelectorAll("[data-complete]")) complete(box, document.getElementById(`${box.id}-list`));

  function complete(box, list) {
    let chosen = -1;
    const last = () => /[\w.]*$/.exec(box.value.slice(0, box.selectionStart))[0];
    const close = () => { list.hidden = true; chosen = -1; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); };
    const take = (name) => {
      const at = box.selectionStart, word = last();
      box.setRangeText(name + " ", at - word.length, at, "end");
      close();
      box.focus();
    };
    const item = (one, index) => {
      const made = document.createElement("li");
      made.id = `${list.id}-${index}`;
      made.role = "option";
      made.textContent = one.name;
      made.dataset.name = one.name;
      if (one.help) { const more = document.createElement("small"); more.textContent = ` ${one.help}`; made.append(more); }
      made.addEventListener("pointerdown", (event) => { event.preventDefault(); take(one.name); });
      return made;
    };
    box.addEventListener("input", () => {
      const word = last().toLowerCase();
      const found = word ? fields.filter((one) => one.name.startsWith(word) && one.name !== word).slice(0, 12) : [];
      list.replaceChildren(...found.map(item));
      chosen = -1;
      list.hidden = !found.length;
      box.setAttribute("aria-expanded", String(!list.hidden));
    });
    box.addEventListener("blur", close);
    box.addEventListener("keydown", (event) => {
      if (list.hidden) return;
      const all = [...list.children];
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        chosen = (chosen + (event.key === "ArrowDown" ? 1 : all.length - (chosen < 0 ? 0 : 1))) % all.length;
        all.forEach((one, index) => one.setAttribute("aria-selected", String(index === chosen)));
        box.setAttribute("aria-activedescendant", all[chosen].id);
        all[chosen].scrollIntoView({ block: "nearest" });
      } else if ((event.key === "Enter" || event.key === "Tab") && (chosen >= 0 || event.key === "Tab")) {
        event.preventDefault();
        take(all[Math.max(chosen, 0)].dataset.name);
      } else if (event.key === "Escape") close();
    });
  }
})();
