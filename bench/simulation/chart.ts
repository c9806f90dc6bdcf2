/** Line charts as SVG, legible on light and dark pages, the same bytes for the same numbers. */
export interface Line {
  readonly name: string;
  readonly points: ReadonlyArray<readonly [x: number, y: number]>;
  /** Values hold until the next one. */
  readonly stepped?: boolean;
}

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
  /** Names of positions, where they aren't numbers of a scale. */
  readonly ticks?: ReadonlyArray<readonly [x: number, label: string]>;
  /** @default - the largest value */
  readonly yMax?: number;
  /** Powers of two are equally far apart. */
  readonly log2?: boolean;
}

/** Okabe and Ito's: told apart with every kind of color vision. */
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const WIDTH = 760;
const HEIGHT = 250;
const LEFT = 56;
const RIGHT = 150;
const TOP = 30;
const BOTTOM = 40;

/** Panels one below the other. */
export function svgChart(title: string, panels: readonly Panel[]): string {
  const height = HEIGHT * panels.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...panels.flatMap((panel, index) => [`<g transform="translate(0 ${index * HEIGHT})">`, ...drawn(panel), '</g>']),
    '</svg>',
    '',
  ].join('\n');
}

function drawn({ title, x, y, lines, ticks, yMax, log2 = false }: Panel): string[] {
  const scaled = (value: number): number => (log2 ? Math.log2(value) : value);
  const points = lines.flatMap((line) => line.points);
  const xs = points.map(([at]) => scaled(at));
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const top = yMax ?? Math.max(...points.map(([, value]) => value));
  const px = (at: number): number => LEFT + ((scaled(at) - low) / (high - low || 1)) * (WIDTH - LEFT - RIGHT);
  const py = (value: number): number => HEIGHT - BOTTOM - (value / (top || 1)) * (HEIGHT - TOP - BOTTOM);
  const gridStep = niceStep(top);
  const grid: number[] = [];
  for (let value = 0; value <= top + gridStep / 1000; value += gridStep) grid.push(Number(value.toPrecision(12)));
  return [
    `<text x="${LEFT}" y="18" font-weight="bold" fill="#222">${escaped(title)}</text>`,
    ...grid.flatMap((value) => [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${n(py(value))}" y2="${n(py(value))}" stroke="#ddd"/>`,
      `<text x="${LEFT - 6}" y="${n(py(value) + 4)}" text-anchor="end" fill="#444">${value}</text>`,
    ]),
    ...(ticks ?? []).map(
      ([at, label]) =>
        `<text x="${n(px(at))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#444">${escaped(label)}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle" fill="#444">${escaped(x)}</text>`,
    `<text transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" fill="#444">${escaped(y)}</text>`,
    ...lines.flatMap((line, index) => {
      const color = COLORS[index % COLORS.length];
      const at = TOP + 12 + index * 18;
      return [
        `<path fill="none" stroke="${color}" stroke-width="1.6" d="${path(line, px, py)}"/>`,
        `<line x1="${WIDTH - RIGHT + 10}" x2="${WIDTH - RIGHT + 30}" y1="${at}" y2="${at}" stroke="${color}" stroke-width="3"/>`,
        `<text x="${WIDTH - RIGHT + 36}" y="${at + 4}" fill="#222">${escaped(line.name)}</text>`,
      ];
    }),
  ];
}

function path({ points, stepped = false }: Line, px: (x: number) => number, py: (y: number) => number): string {
  let last: number | undefined;
  return points
    .map(([x, y], index) => {
      const [at, value] = [n(px(x)), n(py(y))];
      if (index === 0) {
        last = y;
        return `M${at} ${value}`;
      }
      // Where nothing changes, a step needs no point of its own.
      if (stepped && y === last && index < points.length - 1) return '';
      last = y;
      return stepped ? `H${at}V${value}` : `L${at} ${value}`;
    })
    .join('');
}

function niceStep(top: number): number {
  const rough = (top || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5, 10].find((step) => step * power >= rough) ?? 10) * power;
}

const n = (value: number): string => String(Math.round(value * 10) / 10);
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
