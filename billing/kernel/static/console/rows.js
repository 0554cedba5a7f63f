// Rows of a form: add, move and remove them, and say at the field what is wrong with it as soon as it is left.
// Without this script spare empty rows and the checkboxes "Remove" do the same.
document.addEventListener("DOMContentLoaded", () => {
  for (const editor of document.querySelectorAll("[data-rows]")) {
    const name = editor.dataset.rows;
    const list = editor.querySelector("[data-rows-list]");
    const add = editor.querySelector("[data-rows-add]");
    const status = editor.querySelector("[data-rows-status]");
    const total = editor.querySelector(`[name="${name}-TOTAL_FORMS"]`);
    const pattern = new RegExp(`(^|_)${name}-(\\d+|__prefix__)-`);
    const rows = () => [...list.querySelectorAll(":scope > [data-row]")];

    const number = () => {
      rows().forEach((row, index) => {
        for (const element of row.querySelectorAll("[name], [id], [for], [aria-describedby]")) {
          for (const attribute of ["name", "id", "for", "aria-describedby"]) {
            const value = element.getAttribute(attribute);
            if (value) element.setAttribute(attribute, value.replace(pattern, `$1${name}-${index}-`));
          }
        }
        row.querySelector("[data-row-label]").textContent = `${editor.dataset.rowsLabel} ${index + 1}`;
        row.querySelector("[data-row-up]").disabled = index === 0;
        row.querySelector("[data-row-down]").disabled = index === rows().length - 1;
      });
      total.value = rows().length;
      add.disabled = rows().length >= Number(editor.dataset.rowsMax);
    };

    const focus = (row) => row?.querySelector("select, textarea, input:not([type=hidden])")?.focus();

    const prepare = (row) => {
      row.querySelector("[data-row-buttons]").hidden = false;
      for (const box of row.querySelectorAll("[data-row-delete]")) box.hidden = true;
    };

    const check = (field) => {
      const wrong = field.validationMessage;
      let note = field.parentElement.querySelector("[data-row-error]");
      if (!wrong) {
        note?.remove();
        field.removeAttribute("aria-invalid");
        return;
      }
      if (!note) {
        note = document.createElement("p");
        note.dataset.rowError = "";
        note.className = "mt-1 text-red-600 dark:text-red-500";
        field.after(note);
      }
      note.id = `${field.id}-error`;
      note.textContent = wrong;
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", note.id);
    };

    add.hidden = false;
    for (const spare of list.querySelectorAll(":scope > [data-row-spare]")) {
      if (rows().length > 1 || !("rowsRequired" in editor.dataset)) spare.remove(); // the button adds one
    }
    rows().forEach(prepare);
    number();

    add.addEventListener("click", () => {
      list.append(editor.querySelector("template").content.cloneNode(true));
      const row = rows().at(-1);
      prepare(row);
      number();
      focus(row);
      row.dispatchEvent(new CustomEvent("rows:added", { bubbles: true }));
    });

    editor.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (!row) return;
      const position = rows().indexOf(row) + 1;
      if (event.target.closest("[data-row-remove]")) {
        const next = row.nextElementSibling ?? row.previousElementSibling;
        row.remove();
        number();
        status.textContent = `${editor.dataset.rowsLabel} ${position}: removed`;
        next ? focus(next) : add.focus();
      } else if (event.target.closest("[data-row-up]") && row.previousElementSibling) {
        row.previousElementSibling.before(row);
        number();
        event.target.focus();
        status.textContent = `${editor.dataset.rowsLabel} ${position - 1}`;
      } else if (event.target.closest("[data-row-down]") && row.nextElementSibling) {
        row.nextElementSibling.after(row);
        number();
        event.target.focus();
        status.textContent = `${editor.dataset.rowsLabel} ${position + 1}`;
      }
    });

    editor.addEventListener("focusout", (event) => {
      if (event.target.matches("input, select, textarea")) check(event.target);
    });
    editor.addEventListener("input", (event) => {
      if (event.target.matches("[aria-invalid]")) check(event.target);
    });
  }
});
