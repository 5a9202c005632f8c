// Looks into each frame of the harness and writes what it finds, as JSON, where the test reads it.
addEventListener("load", () => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).slice(0, 3).map((v) => {
      const s = v / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    const view = frame.contentWindow;
    const page = frame.contentDocument;
    const style = (element) => view.getComputedStyle(element);
    const behind = (element) => {
      for (let e = element; e; e = e.parentElement) {
        const colour = style(e).backgroundColor;
        if (!/, 0\)$/.test(colour) && colour !== "transparent") return colour;
      }
      return "rgb(255, 255, 255)";
    };
    // Contrast of text with what lies behind it, as the Web Content Accessibility Guidelines define it.
    const contrast = (element) => {
      const [a, b] = [luminance(style(element).color), luminance(behind(element))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    };
    const all = [...page.body.querySelectorAll("*")];
    const shown = all.filter((e) => e.getClientRects().length > 0);
    const said = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const texts = shown.filter((e) => said(e) && !e.closest("svg"));
    const least = (values) => Math.min(...values);
    const pictures = [...page.querySelectorAll("svg")];
    const ids = [...page.querySelectorAll("[id]")].map((e) => e.id);
    return {
      width: view.innerWidth,
      overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
      sticks_out: texts
        .filter((e) => !e.closest(".scroll") && e.getBoundingClientRect().right > view.innerWidth + 1)
        .map((e) => e.textContent.slice(0, 40)),
      dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
      paper: luminance(behind(page.body)),
      contrast: least(texts.map(contrast)),
      smallest_text: least(texts.map((e) => parseFloat(style(e).fontSize))),
      sections: [...page.querySelectorAll("section")].map((e) => e.id),
      pictures: pictures.length,
      mute_pictures: pictures.filter((e) => !e.querySelector("title") || !e.getAttribute("aria-label")).length,
      flat_pictures: pictures.filter((e) => e.getBoundingClientRect().height < 20).length,
      links_to_nowhere: [...page.querySelectorAll("a")].filter((a) => !page.getElementById(a.hash.slice(1))).length,
      twice: ids.length - new Set(ids).size,
      scripts: page.scripts.length,
      injected: "injected" in window || "injected" in view,
      fetched: view.performance.getEntriesByType("resource").length,
      headers_without_scope: page.querySelectorAll("th:not([scope])").length,
    };
  });
  document.getElementById("found").textContent = JSON.stringify(found);
});
