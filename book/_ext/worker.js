// Keeps what a reader has opened of the served book, for when there is no network; an installed book is kept whole.
// The build puts in its hash, the files that all pages share, and the pages. A new build's worker keeps anew.
const NAME = "attention-you-can-see ";
const KEPT = NAME + "BUILD";
const SHARED = "SHARED";
const PAGES = "PAGES";

const fresh = (address) => new Request(new URL(address, registration.scope), { cache: "no-cache" });

async function begin() {
  const cache = await caches.open(KEPT);
  await cache.addAll(SHARED.map(fresh));
  await skipWaiting();
}

async function forgetOldBuilds() {
  const old = (await caches.keys()).filter((name) => name.startsWith(NAME) && name !== KEPT);
  await Promise.all(old.map((name) => caches.delete(name)));
  await clients.claim();
}

async function keepWhole() {
  const cache = await caches.open(KEPT);
  for (const page of PAGES) if (!(await cache.match(fresh(page)))) await cache.add(fresh(page));
}

async function answer(request) {
  const cache = await caches.open(KEPT);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return kept;
  const response = await fetch(fresh(request.url));
  if (response.ok) await cache.put(request, response.clone());
  return response;
}

addEventListener("install", (event) => event.waitUntil(begin()));
addEventListener("activate", (event) => event.waitUntil(forgetOldBuilds()));
addEventListener("message", (event) => event.waitUntil(keepWhole()));
addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(registration.scope)) event.respondWith(answer(event.request));
});
