// What the pages gain with a script; all of them are complete without it.
//
// 1. The overview asks for its fragment again (ETag: nothing is sent when nothing changed) and for the figures of
//    this second. Both rest while the tab is hidden.
// 2. The thresholds say, while one types, what they would have done.
"use strict";
(() => {
  const live = document.getElementById("live");
  const said = document.getElementById("link-state");
  // On a phone the bar is wider than the screen: bring the present page's name into view, without moving the page.
  const here = document.querySelector(".nav [aria-current]");
  if (here) here.closest("nav").scrollLeft = Math.max(0, here.offsetLeft - 24);

  function every(seconds, work) {
    let pause = seconds, timer = 0, lost = false;
    async function turn() {
      clearTimeout(timer);
      if (document.hidden) return;
      try {
        await work();
        if (lost && said && live) { said.textContent = live.dataset.back; live.classList.remove("lost"); }
        lost = false;
        pause = seconds;
      } catch {
        // Said once, politely; then asked less and less often, a minute apart at most.
        if (!lost && said && live) { said.textContent = live.dataset.lost; live.classList.add("lost"); }
        lost = true;
        pause = Math.min(60, pause * 2);
      }
      timer = setTimeout(turn, pause * 1000);
    }
    document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
    timer = setTimeout(turn, seconds * 1000);
  }

  async function ask(url, headers) {
    const answer = await fetch(url, { headers, cache: "no-store", redirect: "manual", credentials: "same-origin" });
    if (answer.type === "opaqueredirect") { location.reload(); return null; } // the session has ended
    if (answer.status === 304) return null;
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  if (live) {
    let tag = "";
    every(Number(live.dataset.every) || 10, async () => {
      const answer = await ask(live.dataset.fragment, tag ? { "If-None-Match": tag } : {});
      if (!answer) return;
      const text = await answer.text();
      // What a person is reading with the keyboard is not taken away under them.
      if (document.activeElement && document.activeElement.closest("[data-fresh]")) return;
      const first = !tag;
      tag = answer.headers.get("ETag") || "";
      const fresh = new DOMParser().parseFromString(text, "text/html");
      const before = document.getElementById("part-banner").dataset.fresh;
      for (const part of fresh.querySelectorAll("[data-fresh]")) {
        const old = document.getElementById(part.id);
        if (!old || old.outerHTML === part.outerHTML) continue;
        const open = new Set([...old.querySelectorAll("details[open] > summary")].map((one) => one.textContent));
        old.replaceWith(document.importNode(part, true));
        for (const one of document.getElementById(part.id).querySelectorAll("details > summary")) {
          if (open.has(one.textContent)) one.parentElement.open = true;
        }
      }
      const banner = document.getElementById("part-banner");
      document.title = `${banner.querySelector("h1").textContent} · ${document.title.split(" · ").pop()}`;
      const icon = document.getElementById("favicon");
      const word = banner.dataset.fresh === "empty" ? "unknown" : banner.dataset.fresh;
      if (icon && before !== banner.dataset.fresh) icon.href = icon.href.replace(/favicon-\w+\.svg.*/, `favicon-${word}.svg`);
      // Only a change of state is worth saying aloud.
      if (!first && said && before !== banner.dataset.fresh) said.textContent = banner.querySelector("h1").textContent;
      document.dispatchEvent(new Event("vigie:fresh"));
    });

    every(5, async () => {
      const answer = await ask(live.dataset.url, {});
      if (!answer) return;
      const now = await answer.json();
      for (const row of now.rows) {
        const place = live.querySelector(`[data-row="${row.name}"]`);
        if (!place) continue;
        place.querySelector(".num").textContent = row.text;
        place.querySelector(".fill").setAttribute("width", (Math.min(1, row.share) * 100).toFixed(2));
      }
      live.querySelector(".at").textContent = now.at;
    });
  }

  for (const form of document.querySelectorAll("form[data-trial]")) {
    let timer = 0, asking = null;
    form.addEventListener("input", (event) => {
      const place = event.target.closest("[data-metric]");
      if (!place || event.target.type === "checkbox") return;
      clearTimeout(timer);
      timer = setTimeout(async () => {
        if (asking) asking.abort();
        asking = new AbortController();
        const key = place.dataset.key;
        const value = (name) => { const field = form.elements.namedItem(name); return field ? field.value : ""; };
        const asked = new URLSearchParams({
          metric: place.dataset.metric, key, warning: value(key),
          critical: value(`${key}.critical`), minutes: value(`${key}.minutes`),
        });
        for (const name of ["direction", "clear", "clear_minutes", "second_metric", "second_side", "second_level", "second_for"]) {
          if (form.elements.namedItem(name)) asked.set(name, value(name));
        }
        const line = new URLSearchParams(location.search).get("line");
        if (line) asked.set("line", line);
        try {
          const answer = await fetch(`${form.dataset.trial}?${asked}`, { signal: asking.signal, cache: "no-store", redirect: "manual" });
          if (!answer.ok) return;
          const told = await answer.json();
          place.querySelector(".trial").textContent = told.sentence || Object.values(told.errors).join(" ");
        } catch { /* a newer question, or no connection: the form works without */ }
      }, 500);
    });
  }
})();
