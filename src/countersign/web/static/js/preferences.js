// Theme and density live in cookies, so the server draws the page right the first time and nothing flashes.
const YEAR_S = 31536000;
const root = document.documentElement;

function keep(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_S}; samesite=lax`;
}

export function toggleTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  keep("theme", root.dataset.theme);
}

export function toggleDensity() {
  root.dataset.density = root.dataset.density === "compact" ? "comfortable" : "compact";
  keep("density", root.dataset.density);
}

export function restorePreferences() {
  for (const name of ["theme", "density"]) {
    const found = document.cookie.match(new RegExp(`(?:^|; )${name}=([a-z]+)`));
    if (found) root.dataset[name] = found[1];
  }
}
