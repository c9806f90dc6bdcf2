import { readFileSync } from 'node:fs';
import type { SimulatedRequest } from './engine.ts';
import { Random } from './random.ts';

export interface LoadOptions {
  readonly seed: number;
  readonly hours: number;
  /** Requests a second at the busiest hour, without bursts. */
  readonly peakPerSecond: number;
}

/** The quietest hour's share of the busiest one's. */
const NIGHT_SHARE = 0.15;
/** In the afternoon. */
const PEAK_HOUR = 15;
/** Each for this many minutes, at so many times the hour's rate; one begins in each so many hours, on average. */
const BURST_MINUTES: readonly [number, number] = [2, 8];
const BURST_FACTOR: readonly [number, number] = [1.6, 2.5];
const BURST_EVERY_HOURS = 3;
/** Shape of the gamma distribution between arrivals: 0.5 is a coefficient of variation of 1.4; 1 would be Poisson. */
const ARRIVAL_SHAPE = 0.5;
/** Of conversations: medians as in Azure's public trace of 2023 (Splitwise, https://arxiv.org/abs/2311.18677). */
const INPUT = { median: 1020, spread: 0.9, most: 8_000 };
const OUTPUT = { median: 129, spread: 1, most: 1_000 };

/**
 * Requests of a day as public traces show them: a diurnal wave, bursts of minutes on top of it, arrivals burstier than
 * Poisson's (BurstGPT, https://arxiv.org/abs/2401.17644, fits gamma distributions), and lengths with long tails.
 */
export function diurnalLoad({ seed, hours, peakPerSecond }: LoadOptions): SimulatedRequest[] {
  const random = new Random(seed);
  const bursts: Array<{ from: number; to: number; factor: number }> = [];
  const between = ([low, high]: readonly [number, number]): number => low + (high - low) * random.uniform();
  for (let at = random.exponential(BURST_EVERY_HOURS * 3600); at < hours * 3600; ) {
    bursts.push({ from: at, to: at + between(BURST_MINUTES) * 60, factor: between(BURST_FACTOR) });
    at += random.exponential(BURST_EVERY_HOURS * 3600);
  }
  const rateAt = (second: number): number => {
    const wave = (1 + Math.cos(((second / 3600 - PEAK_HOUR) / 24) * 2 * Math.PI)) / 2;
    const burst = bursts.find(({ from, to }) => second >= from && second < to)?.factor ?? 1;
    return peakPerSecond * (NIGHT_SHARE + (1 - NIGHT_SHARE) * wave) * burst;
  };
  const requests: SimulatedRequest[] = [];
  const tokens = ({ median, spread, most }: typeof INPUT): number =>
    Math.max(1, Math.min(most, Math.round(random.logNormal(median, spread))));
  for (let at = 0; ; ) {
    at += random.gamma(ARRIVAL_SHAPE, 1 / rateAt(at));
    if (at >= hours * 3600) return requests;
    requests.push({ arrival: at, inputTokens: tokens(INPUT), outputTokens: tokens(OUTPUT) });
  }
}

/**
 * A trace in the format of the Azure LLM inference dataset: CSV with `TIMESTAMP,ContextTokens,GeneratedTokens`.
 * @see https://github.com/Azure/AzurePublicDataset
 */
export function readAzureTrace(file: string): SimulatedRequest[] {
  const [header = '', ...lines] = readFileSync(file, 'utf8').trim().split(/\r?\n/);
  const names = header.split(',').map((name) => name.trim());
  const column = (name: string): number => {
    const index = names.indexOf(name);
    if (index < 0) throw new Error(`${file} has no column ${name}: it must be TIMESTAMP,ContextTokens,GeneratedTokens`);
    return index;
  };
  const [time, input, output] = [column('TIMESTAMP'), column('ContextTokens'), column('GeneratedTokens')];
  const rows = lines.map((line) => line.split(','));
  const first = Date.parse(`${rows[0]?.[time]}Z`);
  return rows.map((row) => ({
    // Fractions of a second have seven digits there; dates read three.
    arrival:
      (Date.parse(`${row[time]?.replace(/(\.\d{3})\d*/, '$1')}Z`) - Date.parse(new Date(first).toISOString())) / 1000,
    inputTokens: Number(row[input]),
    outputTokens: Math.max(1, Number(row[output])),
  }));
}

/** Requests of each minute. */
export function perMinute(requests: readonly SimulatedRequest[]): number[] {
  const minutes: number[] = Array.from({ length: Math.ceil((requests.at(-1)?.arrival ?? 0) / 60) + 1 }, () => 0);
  for (const { arrival } of requests) {
    const minute = Math.floor(arrival / 60);
    minutes[minute] = (minutes[minute] ?? 0) + 1;
  }
  return minutes;
}
