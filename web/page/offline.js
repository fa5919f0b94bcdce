// A service worker: what the page is made of is kept, so that it opens without a network. What the server has is taken first.

const KEPT = "couplet";

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("install", (event) => {
  const files = [
    "./",
    "style.css",
    "icon.svg",
    "app.js",
    "charts.js",
    "numbers.js",
    "data/faithful.csv",
    "data/penguins.csv",
    "couplet/index.js",
    "couplet/module.js",
    "couplet/worker.js",
    "couplet/fit_worker.js",
    ...["cpu", "gpu"].flatMap((kind) => [`couplet/${kind}/couplet.js`, `couplet/${kind}/couplet_bg.wasm`]),
  ];
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(files)));
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    fetch(event.request)
      .then(async (answer) => {
        if (answer.ok) (await caches.open(KEPT)).put(event.request, answer.clone());
        return answer;
      })
      .catch(async () => (await caches.match(event.request, { ignoreSearch: true })) ?? Response.error()),
  );
});
