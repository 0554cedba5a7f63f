// Keeps the figures of a running billing run fresh. Without this script they are those of when the page was made.
document.addEventListener("DOMContentLoaded", () => {
  const EVERY_MS = 2000;
  const shown = document.querySelector("[data-progress-address]");
  if (!shown || shown.dataset.state !== "running") return;

  const show = (run) => {
    for (const [name, text] of Object.entries(run.figures)) {
      const place = shown.querySelector(`[data-figure="${name}"]`);
      if (place && place.textContent !== text) place.textContent = text;
    }
    shown.querySelector("progress").value = run.percent;
    shown.querySelector("[data-reasons]").hidden = !run.has_failures;
  };
  const look = async () => {
    try {
      const answer = await fetch(shown.dataset.progressAddress, { headers: { Accept: "application/json" } });
      if (answer.status < 500 && !answer.ok) return; // signed out, or no longer within reach
      if (answer.ok && !answer.redirected) {
        const run = await answer.json();
        show(run);
        if (run.state !== "running") return;
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the server is away for a moment: look again
    }
    setTimeout(look, EVERY_MS);
  };
  setTimeout(look, EVERY_MS);
});
