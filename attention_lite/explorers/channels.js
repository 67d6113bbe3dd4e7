// ---------------------------------------------------------------- charts with a slot for each channel

class ChannelExplorer extends PhotographExplorer {
  // The trait that a press on a bar sets, and what a bar stands for.
  get chosen() {
    return "channel";
  }

  get noun() {
    return "Channel";
  }

  makeChannelChart() {
    const chart = element("canvas", { class: "ax-chart", tabindex: 0, role: "slider", "aria-label": this.noun, "aria-valuemin": 0, "aria-describedby": this.status.id });
    this.pointChannels(chart);
    chart.addEventListener("keydown", (event) => this.chartKey(event));
    return chart;
  }

  pointChannels(chart) {
    this.pointable(chart, this.chosen, (event) => {
      const box = chart.getBoundingClientRect();
      const slot = Math.floor(((event.clientX - box.left - AXIS) / (box.width - AXIS)) * this.channels);
      return this.order()[clamp(slot, 0, this.channels - 1)];
    });
  }

  makeAllButton() {
    const all = element("button", { type: "button", onclick: () => this.keep("channel", -1) }, "all channels");
    this.controls.push(() => (all.disabled = this.get("channel") < 0));
    return all;
  }

  order() {
    return range(this.channels);
  }

  chartKey(event) {
    const order = this.order();
    const slot = order.indexOf(this.get(this.chosen));
    const last = this.channels - 1;
    const far = event.shiftKey ? 5 : 1;
    const to = { ArrowLeft: slot - far, ArrowDown: slot - far, ArrowRight: slot + far, ArrowUp: slot + far, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.keep(this.chosen, -1);
    else if (to == null || event.ctrlKey || event.metaKey || event.altKey) return;
    else this.keep(this.chosen, order[slot < 0 ? 0 : clamp(to, 0, last)]);
    event.preventDefault();
  }

  sayChannel(chart, slot, words) {
    chart.setAttribute("aria-valuemax", this.channels - 1);
    chart.setAttribute("aria-valuenow", Math.max(slot, 0));
    chart.setAttribute("aria-valuetext", words);
  }

  // ------------------------------------------------------------ drawing

  // A chart cleared, with its horizontal lines and their numbers; `under`: pixels kept below the lowest.
  axes(chart, low, high, ticks = [low, (low + high) / 2, high], under = 9, slots = this.channels) {
    const [width, height] = this.sizeCanvas(chart);
    const context = chart.getContext("2d");
    const [top, bottom] = [8, height - under];
    const y = (value) => bottom - ((clamp(value, low, high) - low) / (high - low)) * (bottom - top);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.lineWidth = 1;
    for (const tick of ticks) {
      context.fillStyle = this.ink.muted;
      context.fillText(short(tick), AXIS - 6, y(tick) + 4);
      context.strokeStyle = this.ink.line;
      context.beginPath();
      context.moveTo(AXIS - 2, Math.round(y(tick)) + 0.5);
      context.lineTo(width, Math.round(y(tick)) + 0.5);
      context.stroke();
    }
    const step = (width - AXIS) / slots;
    return { context, y, step, width, height, bottom, gap: step > 4 ? 1 : 0 };
  }

  pickMark(axes, slot) {
    const { context, step, height } = axes;
    const x = AXIS + (slot + 0.5) * step;
    context.fillStyle = this.ink.text;
    context.beginPath();
    context.moveTo(x - 5, height);
    context.lineTo(x + 5, height);
    context.lineTo(x, height - 7);
    context.fill();
    context.globalAlpha = 0.14;
    context.fillRect(AXIS + slot * step - 1, 4, step + 2, height - 12);
    context.globalAlpha = 1;
  }
}
