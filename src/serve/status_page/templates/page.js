// Reloads the page in the background and updates the elements that changed, so that focus, scroll position, selection and opened
// sections stay as they are. Pauses while the page is hidden. The page works without this script; it then shows the state of its load.
"use strict";
(() => {
  const TIMEOUT_MS = 20000;
  const POLL_TIMEOUT_MS = 70000;
  const FILTER_DELAY_MS = 250;
  const NOTICE_MS = 15000;
  const FAILURES_BACKOFF_MAX = 12;
  const live = document.getElementById("live");
  const button = document.getElementById("refresh");
  const status = document.getElementById("refresh-state");
  let paused = false;
  let timer = 0;
  let failures = 0;
  let lastUpdate = "";
  let notice = "";
  let noticeEnd = 0;

  const showStatus = (text) => {
    if (status.textContent !== text) status.textContent = text;
  };
  const showNotice = (text) => {
    notice = text;
    noticeEnd = Date.now() + NOTICE_MS;
    showStatus(text);
  };
  // Sections that the reader has opened or closed stay that way. A button is disabled while its request runs.
  const belongsToReader = (element, name) =>
    (name === "open" && element.localName === "details") || (name === "disabled" && element.localName === "button");
  // Elements that can appear or disappear have an id, so that the elements after them are matched correctly.
  const isSameElement = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  const sync = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !belongsToReader(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !belongsToReader(old, name)) old.setAttribute(name, value);
    }
    const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let current = old.firstChild;
    for (const updated of fresh.childNodes) {
      const match = current && isSameElement(current, updated) ? current : byId.get(updated.id);
      if (match && isSameElement(match, updated)) {
        if (match === current) current = current.nextSibling;
        else old.insertBefore(match, current);
        sync(match, updated);
      } else {
        old.insertBefore(document.importNode(updated, true), current);
      }
    }
    while (current) {
      const next = current.nextSibling;
      current.remove();
      current = next;
    }
  };

  const update = (fresh) => {
    const focused = document.activeElement;
    sync(live, fresh.getElementById("live"));
    if (document.title !== fresh.title) document.title = fresh.title;
    // Moving an element within its list removes the focus from it.
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  };

  const refresh = async () => {
    try {
      const response = await fetch(location.pathname + location.search, {
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(String(response.status));
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      // An update would clear the text that the reader has selected.
      if (fresh.getElementById("live") && (getSelection()?.isCollapsed ?? true)) update(fresh);
      failures = 0;
      lastUpdate = document.getElementById("updated")?.textContent ?? "";
      showStatus(Date.now() < noticeEnd ? notice : "");
    } catch {
      failures = Math.min(failures + 1, FAILURES_BACKOFF_MAX);
      showStatus(`Postmeter does not respond${lastUpdate ? `; last update ${lastUpdate}` : ""}`);
    }
  };

  const schedule = () => {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    const seconds = Number(live.dataset.refreshSeconds) || 5;
    timer = setTimeout(() => refresh().then(schedule), seconds * 1000 * Math.max(1, failures));
  };

  // Typing in the filter changes the query of the page, so that a reload and a bookmark show the same targets.
  let filterTimer = 0;
  live.addEventListener("input", (event) => {
    if (event.target.id !== "filter") return;
    clearTimeout(filterTimer);
    filterTimer = setTimeout(() => {
      const query = new URLSearchParams(location.search);
      const text = event.target.value.trim();
      if (text) query.set("filter", text);
      else query.delete("filter");
      history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
      refresh().then(schedule);
    }, FILTER_DELAY_MS);
  });

  const poll = async (button) => {
    button.disabled = true;
    showNotice(`Polling ${button.dataset.poll} …`);
    try {
      const response = await fetch(`-/poll?target=${encodeURIComponent(button.dataset.poll)}`, {
        method: "POST",
        signal: AbortSignal.timeout(POLL_TIMEOUT_MS),
      });
      showNotice((await response.text()).trim());
      await refresh();
    } catch {
      showNotice("Postmeter does not respond");
    }
    button.disabled = false;
    schedule();
  };
  live.addEventListener("click", (event) => {
    const button = event.target.closest("[data-poll]");
    if (button && !button.disabled) poll(button);
  });

  document.documentElement.classList.add("with-script");
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    showStatus(paused ? "Paused" : "");
    if (paused) schedule();
    else refresh().then(schedule);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || paused) schedule();
    else refresh().then(schedule);
  });
  // Following a link to a target opens its section.
  const openLinkedTarget = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.localName === "details") target.open = true;
  };
  addEventListener("hashchange", openLinkedTarget);
  openLinkedTarget();
  schedule();
})();
