import { type EChartsOption, init } from 'echarts';
import { CURVE } from './measure';
import type { Row, Section } from './result';

/** Colours of the light page, each with its counterpart on a dark one. */
const INK = { light: '#1f2328', dark: '#e6edf3' };
const LINE = { light: '#d1d9e0', dark: '#3d444d' };
const COLOURS: Record<string, { light: string; dark: string }> = {
  library: { light: '#0969da', dark: '#4493f8' },
  'library, fair': { light: '#8250df', dark: '#ab7df8' },
  'redis-semaphore': { light: '#cf222e', dark: '#f85149' },
  redlock: { light: '#bc4c00', dark: '#db6d28' },
  'ideal, raw hand-over': { light: '#59636e', dark: '#9198a1' },
};
const WIDTH = 860;

interface Bar {
  readonly label: string;
  readonly scenario: string;
  readonly row: string;
  readonly at: 'p50' | 'p99';
  /** What everything is measured in. */
  readonly against: string;
}

const BARS: readonly Bar[] = [
  {
    label: 'acquire + release\np50',
    scenario: 'uncontended',
    row: 'one server, file',
    at: 'p50',
    against: 'floor',
  },
  { label: 'mutex\np50', scenario: 'mutex', row: 'lock + unlock', at: 'p50', against: 'floor' },
  {
    label: 'hand-over between\nprocesses, p50',
    scenario: 'handover',
    row: 'release called -> acquire resolved',
    at: 'p50',
    against: 'floor',
  },
  {
    label: 'wait in a crowd of\none process, p99',
    scenario: 'crowd',
    row: 'wait',
    at: 'p99',
    against: 'ideal, raw hand-over',
  },
  {
    label: 'wait in a crowd of\nfour processes, p99',
    scenario: 'crowd4',
    row: 'wait',
    at: 'p99',
    against: 'ideal, raw hand-over',
  },
];

/** How many times the floor each contender takes, on a logarithmic scale. */
export function barsPicture(sections: readonly Section[]): string {
  const bars = BARS.flatMap((bar) => {
    const row = find(sections, bar.scenario, bar.row);
    return row === undefined ? [] : [{ ...bar, figures: row.figures }];
  });
  const names = ['library', 'library, fair', 'redis-semaphore', 'redlock'].filter((name) =>
    bars.some(({ figures }) => name in figures),
  );
  const option: EChartsOption = {
    ...heading('Times the floor', 'plain publishes doing the same = 1; shorter is better; logarithmic'),
    grid: { left: 150, right: 60, top: 64, bottom: 60 },
    xAxis: { type: 'log', min: 0.1, ...axis() },
    yAxis: { type: 'category', inverse: true, data: bars.map(({ label }) => label), ...axis() },
    series: names.map((name) => ({
      type: 'bar',
      name,
      barMaxWidth: 14,
      color: colour(name),
      data: bars.map(({ figures, at, against }) => {
        const [own, floor] = [figures[name], figures[against]];
        return own === undefined || floor === undefined ? '-' : own[at] / floor[at];
      }),
      label: {
        show: true,
        position: 'right',
        color: INK.light,
        formatter: ({ value }) => (typeof value === 'number' ? value.toPrecision(2) : ''),
      },
      ...(name === 'library' && {
        markLine: {
          symbol: 'none',
          silent: true,
          label: { show: false },
          lineStyle: { color: INK.light, type: 'dashed' },
          data: [{ xAxis: 1 }],
        },
      }),
    })),
  };
  return render(option, 100 + bars.length * 80);
}

/** How long which share of a crowd waited. */
export function latencyPicture(sections: readonly Section[]): string | undefined {
  const row = find(sections, 'crowd4', 'wait') ?? find(sections, 'crowd', 'wait');
  if (row?.curves === undefined) return undefined;
  const curves = Object.entries(row.curves).filter(([name]) => name in COLOURS);
  const option: EChartsOption = {
    ...heading(
      'Waiting in a crowd',
      '500 waiters in all, 5 slots, 1 ms of work; lower is better; logarithmic',
    ),
    grid: { left: 70, right: 30, top: 84, bottom: 84 },
    xAxis: {
      type: 'value',
      min: 0,
      max: 100,
      name: '% of the waiters served',
      nameLocation: 'middle',
      nameGap: 30,
      ...axis(),
    },
    yAxis: { type: 'log', name: 'wait, ms', min: 1, ...axis() },
    series: curves.map(([name, values]) => ({
      type: 'line',
      name,
      showSymbol: false,
      color: colour(name),
      lineStyle: {
        width: name.startsWith('ideal') ? 1.5 : 2.5,
        type: name.startsWith('ideal') ? 'dashed' : 'solid',
      },
      data: values.map((value, index) => [CURVE[index]! * 100, Math.max(value, 1)]),
    })),
  };
  return render(option, 420);
}

function find(sections: readonly Section[], scenario: string, what: string): Row | undefined {
  return sections.find((section) => section.scenario === scenario)?.rows.find((row) => row.what === what);
}

function heading(text: string, subtext: string): EChartsOption {
  return {
    animation: false,
    title: {
      left: 0,
      text,
      subtext,
      textStyle: { color: INK.light, fontSize: 16 },
      subtextStyle: { color: INK.light },
    },
    legend: { bottom: 0, left: 'center', icon: 'roundRect', itemGap: 24, textStyle: { color: INK.light } },
  };
}

function axis(): object {
  return {
    axisLabel: { color: INK.light },
    nameTextStyle: { color: INK.light },
    axisLine: { show: true, lineStyle: { color: LINE.light } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: LINE.light } },
  };
}

function colour(name: string): string {
  return (COLOURS[name] ?? INK).light;
}

/** Without a background, and with a style that turns the colours round on a dark page. */
function render(option: EChartsOption, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({ ...option, backgroundColor: 'transparent', textStyle: { fontFamily: 'sans-serif' } });
  const svg = chart.renderToSVGString();
  chart.dispose();
  const rules = [INK, LINE, ...Object.values(COLOURS)].map(
    ({ light, dark }) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`,
  );
  const style = `<style>@media (prefers-color-scheme: dark){${rules.join('')}}</style>`;
  return `${svg.replace(/^<svg[^>]*>/, (opening) => opening + style)}\n`;
}
