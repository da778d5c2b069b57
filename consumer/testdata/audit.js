// Returns what is wrong with a page for those who look at it: an array of sentences. It reads what the browser has computed.
(() => {
  const found = [], width = document.documentElement.clientWidth;
  const say = (what, e) => found.push(what + ": <" + e.tagName.toLowerCase() + " class=" + JSON.stringify(String(e.className.baseVal ?? e.className)) + "> " + JSON.stringify(e.textContent.trim().slice(0, 60)));
  const seen = e => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  if (document.documentElement.scrollWidth > width) found.push("the page scrolls sideways: " + document.documentElement.scrollWidth + " > " + width);

  // Relative luminance and contrast: Web Content Accessibility Guidelines 2.2, "relative luminance", "contrast ratio".
  const parse = c => (c.match(/[\d.]+/g) || []).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
  const ground = e => {
    const layers = [];
    for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, c) => over(c, under), matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255]);
  };
  const luminance = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };

  const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, e = node.parentElement;
    if (!node.data.trim() || /^(SCRIPT|STYLE|NOSCRIPT|OPTION)$/.test(e.tagName) || !seen(e)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const under = ground(e), ratio = contrast(over(parse(getComputedStyle(e).color), under), under);
    if (ratio < 4.5) say("contrast of " + ratio.toFixed(2), e);
    const box = e.closest(".box");
    const frame = box ? box.getBoundingClientRect() : { left: 0, right: width };
    for (const r of range.getClientRects()) {
      if (r.width < 1) continue;
      if (r.left < frame.left - 1 || r.right > frame.right + 1) say("text outside of its box", e);
      for (let a = e; a && a !== document.body; a = a.parentElement) {
        const s = getComputedStyle(a), clip = a.getBoundingClientRect();
        if (s.overflowX !== "visible" && (r.right > clip.right + 1 || r.bottom > clip.bottom + 2)) { say("clipped text", e); break; }
      }
      texts.push({ r, e });
    }
  }
  texts.sort((a, b) => a.r.top - b.r.top);
  // Lines of text have room above and below the letters, so they may touch by as much.
  const free = document.getElementById("tip");
  texts.forEach(({ r, e }, i) => {
    for (let j = i + 1; j < texts.length && texts[j].r.top < r.bottom - 4; j++) {
      const { r: o, e: f } = texts[j];
      if (e !== f && o.left < r.right - 1 && o.right > r.left + 1 && e !== free && f !== free) say("text over " + JSON.stringify(f.textContent.trim().slice(0, 40)), e);
    }
  });
  for (const e of document.querySelectorAll("button, a, input, select")) {
    if (!seen(e)) continue;
    const r = e.getBoundingClientRect();
    // Web Content Accessibility Guidelines 2.2, success criterion 2.5.8, "Target Size (Minimum)".
    if (r.width < 24 || r.height < 24) say(`target of ${r.width.toFixed(1)} × ${r.height.toFixed(1)}`, e);
    if (!(e.textContent.trim() || e.ariaLabel || e.labels && [...e.labels].some(l => l.textContent.trim()))) say("no name", e);
  }
  for (const e of document.querySelectorAll("progress, svg, table")) if (seen(e) && !e.ariaLabel && e.ariaHidden !== "true") say("no name", e);
  return found.slice(0, 20);
})()
