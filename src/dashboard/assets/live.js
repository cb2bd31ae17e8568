// Puts newer parts of the page in place while somebody looks. Without it, the
// page says the same after it is loaded again.
"use strict";
(() => {
  const root = document.querySelector("[data-live]");
  const connection = document.getElementById("connection");
  if (!root || !connection || !window.EventSource) {
    return;
  }
  const say = (text) => {
    if (connection.textContent !== text) {
      connection.textContent = text;
    }
  };
  const shown = new Map();
  const put = (name, html) => {
    const part = root.querySelector(`[data-part="${name}"]`);
    // What somebody has in hand is not taken away.
    if (!part || shown.get(name) === html || part.contains(document.activeElement)) {
      return;
    }
    shown.set(name, html);
    part.innerHTML = html;
  };
  let source = null;
  const follow = () => {
    source = new EventSource(root.dataset.live);
    source.addEventListener("parts", (event) => {
      for (const [name, html] of Object.entries(JSON.parse(event.data))) {
        put(name, html);
      }
      say("live");
    });
    source.addEventListener("error", () => say("the process does not answer"));
  };
  // A page that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source) {
      source.close();
      source = null;
    } else if (!document.hidden && !source) {
      follow();
    }
  });
  follow();
})();
