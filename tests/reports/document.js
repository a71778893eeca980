// Loads a page into jsdom, runs its scripts, and prints as JSON what the function given on the command line returns.
const { readFileSync } = require("node:fs");
const { JSDOM, VirtualConsole } = require("jsdom");

const [, , page, act] = process.argv;
const errors = [];
const virtualConsole = new VirtualConsole();
virtualConsole.on("jsdomError", (error) => errors.push(String(error)));
const { window } = new JSDOM(readFileSync(page, "utf8"), { runScripts: "dangerously", pretendToBeVisual: true, virtualConsole });
const { document } = window;
const figure = (title) => [...document.querySelectorAll("figure")].find((one) => one.textContent.startsWith(title));
const press = (target, key) => target.dispatchEvent(new window.KeyboardEvent("keydown", { key, bubbles: true }));
const point = (target, type, clientX, pointerType = "mouse") =>
  target.dispatchEvent(Object.assign(new window.MouseEvent(type, { clientX, bubbles: true }), { pointerType }));
const result = new Function("document", "window", "figure", "press", "point", act)(document, window, figure, press, point);
process.stdout.write(JSON.stringify({ result, errors }));
