const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Pauses after failed deliveries, like those that Standard Webhooks proposes: ten attempts within a little over a day. */
export const PAUSES_MS: readonly number[] = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  8 * HOUR,
  8 * HOUR,
];

/** The pause after so many attempts, up to a tenth longer; `undefined` when that was the last. */
export function pauseMs(attempts: number, random: number, pauses: readonly number[] = PAUSES_MS): number | undefined {
  const pause = pauses[attempts - 1];
  return pause === undefined ? undefined : Math.round(pause * (1 + random / 10));
}
