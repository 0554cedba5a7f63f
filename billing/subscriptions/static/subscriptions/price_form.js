// Only the figures that a price of the chosen model has. Without this script all of them are shown.
document.addEventListener("DOMContentLoaded", () => {
  const model = document.getElementById("id_model");
  const figures = document.querySelectorAll("[data-models]");
  const choose = () => {
    for (const figure of figures) {
      const belongs = figure.dataset.models.split(" ").includes(model.value);
      figure.disabled = !belongs; // what was typed under another model is kept, but not sent
      figure.closest(".group").style.display = belongs ? "" : "none";
    }
  };
  model.addEventListener("change", choose);
  choose();
});
