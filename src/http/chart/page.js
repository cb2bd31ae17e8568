"use strict";

// What a form says is sent as it stands; the answer is shown as it came.
async function send(form) {
  const value = (input) => input.value.trim();
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input[data-in]")) {
    if (input.dataset.in === "path") {
      path = path.replace(`{${input.dataset.name}}`, encodeURIComponent(value(input)));
    } else if (value(input)) {
      query.append(input.dataset.name, value(input));
    }
  }
  const options = { method: form.dataset.method.toUpperCase(), headers: {} };
  const key = value(document.getElementById("key"));
  if (key) options.headers["X-API-Key"] = key;
  const body = form.querySelector("textarea");
  if (body) {
    options.headers["Content-Type"] = "application/json";
    options.body = body.value;
  }
  const answer = await fetch(query.size ? `${path}?${query}` : path, options);
  const text = await answer.text();
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It is no JSON, and is shown as text.
  }
  return `${answer.status} ${answer.statusText}\n${shown}`;
}

for (const form of document.querySelectorAll("details[data-path]")) {
  const shown = form.querySelector(".answer");
  form.querySelector("button").addEventListener("click", async () => {
    shown.textContent = "…";
    shown.textContent = await send(form).catch((error) => `No answer: ${error.message}`);
  });
}

document.getElementById("find").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const form of document.querySelectorAll("details[data-path]")) {
    form.hidden = !form.querySelector("summary").textContent.toLowerCase().includes(wanted);
  }
});
