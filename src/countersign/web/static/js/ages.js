// Ages go on counting while the page is open. The words are those of the server's `span`.
const EVERY_MS = 20000;

function span(ms) {
  const minutes = Math.floor(Math.max(0, ms) / 60000);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor(minutes / 60) % 24;
  const two = (n) => String(n).padStart(2, "0");
  if (days >= 100) return `${days}d`;
  if (days) return `${days}d ${two(hours)}h`;
  if (hours) return `${hours}h ${two(minutes % 60)}m`;
  return minutes ? `${minutes % 60}m` : `${Math.floor(Math.max(0, ms) / 1000)}s`;
}

export function keepAges() {
  setInterval(() => {
    for (const time of document.querySelectorAll("time.age[data-ms]")) {
      const text = span(Date.now() - Number(time.dataset.ms));
      if (time.textContent !== text) time.textContent = text;
    }
  }, EVERY_MS);
}
