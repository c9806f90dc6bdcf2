import type { Prices } from './prices.ts';
import type { Profile } from './profile.ts';

const DAYS = 30.4;
const HOURS = 24;
/** The gateway's function: 512 MB. The authorizer's 256 MB for some milliseconds don't show. */
const HANDLER_GB = 0.5;
const DISK_GIB = 200;
const HOURS_A_MONTH = DAYS * HOURS;
/** A request's two writes, of two units each on average, and its share of the two that every sixteenth makes besides. */
const LEDGER_UNITS = 4.25;

export type Kind = 'managed' | 'hybrid' | 'selfHosted';
export const KINDS: readonly Kind[] = ['managed', 'hybrid', 'selfHosted'];

/** USD a month. */
export interface Cost {
  /** Of managed models. */
  readonly tokens: number;
  /** Instances with their disks, those hours included in which they had too little to do. */
  readonly instances: number;
  /** Of `instances`, what no token was answered for. */
  readonly idle: number;
  /** API Gateway, Lambda and the ledger. */
  readonly gateway: number;
  /** Load balancer and NAT gateway. */
  readonly network: number;
  readonly engineering: number;
  readonly total: number;
  /** Instances in the busiest hour. */
  readonly mostInstances: number;
}

/** What each way costs for this many requests a day. */
export function costs(profile: Profile, prices: Prices, requestsPerDay = profile.requestsPerDay): Record<Kind, Cost> {
  const load = hourlyRequests(requestsPerDay, profile.peakFactor);
  return {
    managed: sum(profile, prices, load, profile.managedHours, () => 0),
    hybrid: sum(profile, prices, load, profile.hybridHours, (requests) => cheapest(profile, prices, requests)),
    selfHosted: sum(profile, prices, load, profile.selfHostedHours, (requests) =>
      Math.max(profile.minInstances, Math.ceil(instancesFor(profile, requests))),
    ),
  };
}

function sum(
  profile: Profile,
  prices: Prices,
  load: readonly number[],
  engineeringHours: number,
  instancesOf: (requests: number) => number,
): Cost {
  let tokens = 0;
  let instanceHours = 0;
  let busyHours = 0;
  let requests = 0;
  let mostInstances = 0;
  for (const hourly of load) {
    const instances = instancesOf(hourly);
    const busy = Math.min(instances, instancesFor(profile, hourly));
    const overflow = hourly - busy * requestsPerInstance(profile);
    tokens += Math.max(0, overflow) * requestUsd(profile, prices);
    instanceHours += instances;
    busyHours += busy;
    requests += hourly;
    mostInstances = Math.max(mostInstances, instances);
  }
  const usdOf = instanceUsd(prices);
  const cost = {
    tokens: tokens * DAYS,
    instances: instanceHours * DAYS * usdOf,
    idle: (instanceHours - busyHours) * DAYS * usdOf,
    gateway: requests * DAYS * gatewayUsd(profile, prices),
    network: mostInstances === 0 ? 0 : HOURS_A_MONTH * (prices.loadBalancer.usd + prices.natGateway.usd),
    engineering: engineeringHours * prices.engineer.usd,
  };
  const { tokens: a, instances: b, gateway: c, network: d, engineering: e } = cost;
  return { ...cost, total: a + b + c + d + e, mostInstances };
}

/** As many instances as cost less than what they answer would cost elsewhere; the last one only if it is used enough. */
function cheapest(profile: Profile, prices: Prices, requests: number): number {
  const needed = instancesFor(profile, requests);
  const full = Math.floor(needed);
  const rest = (needed - full) * requestsPerInstance(profile) * requestUsd(profile, prices);
  const worth = requestsPerInstance(profile) * requestUsd(profile, prices) > instanceUsd(prices) ? full : 0;
  return worth + (rest > instanceUsd(prices) ? 1 : 0);
}

/** Of a managed model. */
function requestUsd({ inputTokens, outputTokens, cachedShare }: Profile, prices: Prices): number {
  const input = prices.input.usd * (1 - cachedShare) + prices.cachedInput.usd * cachedShare;
  return (inputTokens * input + outputTokens * prices.output.usd) / 1_000_000;
}

function gatewayUsd({ secondsPerRequest }: Profile, prices: Prices): number {
  const requests = (prices.apiRequest.usd + 2 * prices.lambdaRequest.usd) / 1_000_000;
  const ledger = (LEDGER_UNITS * prices.ledgerUnit.usd) / 1_000_000;
  return requests + ledger + secondsPerRequest * HANDLER_GB * prices.lambdaSecond.usd;
}

/** An hour of one, with its disk. */
function instanceUsd(prices: Prices): number {
  return prices.instance.usd + (prices.disk.usd * DISK_GIB) / HOURS_A_MONTH;
}

const requestsPerInstance = ({ tokensPerHour, inputTokens, outputTokens }: Profile): number =>
  tokensPerHour / (inputTokens + outputTokens);

const instancesFor = (profile: Profile, requests: number): number => requests / requestsPerInstance(profile);

/** A day's hours: a bell around the busiest one, as steep as the peak is high. */
export function hourlyRequests(requestsPerDay: number, peakFactor: number): number[] {
  const shape = (steepness: number): number[] =>
    Array.from({ length: HOURS }, (_, hour) => Math.exp(steepness * (Math.cos((2 * Math.PI * hour) / HOURS) - 1)));
  const peak = (weights: readonly number[]): number => HOURS / weights.reduce((total, weight) => total + weight, 0);
  let low = 0;
  let high = 1_000;
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (peak(shape(middle)) < peakFactor) low = middle;
    else high = middle;
  }
  const weights = shape(low);
  const total = weights.reduce((sumOf, weight) => sumOf + weight, 0);
  return weights.map((weight) => (requestsPerDay * weight) / total);
}

export interface Crossing {
  readonly requestsPerDay: number;
  /** Cheaper below. */
  readonly below: Kind;
  /** Cheaper above. */
  readonly above: Kind;
}

/** How far around the profile's traffic is looked: a ten-thousandth to ten thousand times. */
export const DECADES = 4;
const STEPS_PER_DECADE = 40;

/** Where one way of two begins to be the cheaper one. Whole instances make lines jagged: they may cross again. */
export function crossings(profile: Profile, prices: Prices): Crossing[] {
  const pairs: ReadonlyArray<readonly [Kind, Kind]> = [
    ['managed', 'hybrid'],
    ['managed', 'selfHosted'],
    ['hybrid', 'selfHosted'],
  ];
  const at = (requests: number): Record<Kind, Cost> => costs(profile, prices, requests);
  const found: Crossing[] = [];
  let before = profile.requestsPerDay * 10 ** -DECADES;
  for (let step = 1; step <= 2 * DECADES * STEPS_PER_DECADE; step += 1) {
    const next = profile.requestsPerDay * 10 ** (step / STEPS_PER_DECADE - DECADES);
    const [low, high] = [at(before), at(next)];
    for (const [a, b] of pairs) {
      const was = Math.sign(low[a].total - low[b].total);
      const is = Math.sign(high[a].total - high[b].total);
      if (was === is || is === 0) continue;
      found.push({ requestsPerDay: next, below: is > 0 ? a : b, above: is > 0 ? b : a });
    }
    before = next;
  }
  return found;
}
