"""Numbers as a Rust static, for the scripts that write tables."""


def static(visibility, name, doc, kind, values, group=1):
    """A static of whole numbers; with `group`, an array of arrays of so many."""
    lines, line = [], "   "
    for start in range(0, len(values), group):
        items = [str(v) for v in values[start : start + group]]
        item = f" {items[0]}," if group == 1 else f" [{', '.join(items)}],"
        if len(line) + len(item) > 108 or (group > 1 and line != "   "):
            lines.append(line)
            line = "   "
        line += item
    lines.append(line)
    body = "\n".join(lines)
    kind = kind if group == 1 else f"[{kind}; {group}]"
    count = len(values) // group
    # What the formatter would make of long rows of numbers depends on how long these are.
    skip = "#[rustfmt::skip]\n" if group == 1 else ""
    return f"/// {doc}\n{skip}{visibility} static {name}: [{kind}; {count}] = [\n{body}\n];\n"
