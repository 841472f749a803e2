// Fetches the page again and puts what is new in place: focus, scroll, selection and what was opened stay. It pauses while
// nobody can see the page. Without it the page is whole, and reloading it does the same.
"use strict";
(() => {
  const TIMEOUT_MS = 20000;
  const FAILURES_BACKOFF_MAX = 12;
  const live = document.getElementById("live");
  const button = document.getElementById("refresh");
  const said = document.getElementById("refresh-state");
  let paused = false;
  let timer = 0;
  let failures = 0;
  let last = "";

  const say = (text) => {
    if (said.textContent !== text) said.textContent = text;
  };
  // What a reader has opened or closed is theirs.
  const kept = (element, name) => name === "open" && element.localName === "details";
  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  const sync = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !kept(old, name)) old.setAttribute(name, value);
    }
    const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let here = old.firstChild;
    for (const wanted of fresh.childNodes) {
      const match = here && same(here, wanted) ? here : byId.get(wanted.id);
      if (match && same(match, wanted)) {
        if (match === here) here = here.nextSibling;
        else old.insertBefore(match, here);
        sync(match, wanted);
      } else {
        old.insertBefore(document.importNode(wanted, true), here);
      }
    }
    while (here) {
      const next = here.nextSibling;
      here.remove();
      here = next;
    }
  };

  const put = (fresh) => {
    const focused = document.activeElement;
    sync(live, fresh.getElementById("live"));
    if (document.title !== fresh.title) document.title = fresh.title;
    // Moving an element within its list takes the focus from it.
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  };

  const refresh = async () => {
    try {
      const answer = await fetch(location.pathname + location.search, {
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Someone selects text: not now.
      if (fresh.getElementById("live") && (getSelection()?.isCollapsed ?? true)) put(fresh);
      failures = 0;
      last = live.querySelector("time")?.textContent ?? "";
      say("");
    } catch {
      failures = Math.min(failures + 1, FAILURES_BACKOFF_MAX);
      say(`Postmeter does not answer${last ? `; values of ${last}` : ""}`);
    }
  };

  const plan = () => {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    const seconds = Number(live.dataset.refreshSeconds) || 5;
    timer = setTimeout(() => refresh().then(plan), seconds * 1000 * Math.max(1, failures));
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    say(paused ? "Paused" : "");
    if (paused) plan();
    else refresh().then(plan);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || paused) plan();
    else refresh().then(plan);
  });
  // A link to a target opens it.
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.localName === "details") target.open = true;
  };
  addEventListener("hashchange", open);
  open();
  plan();
})();
