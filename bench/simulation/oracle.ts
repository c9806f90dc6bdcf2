/**
 * How many tasks an operator would have who knows the day: for each minute its requests over what a task takes, and a
 * task that is needed again before another one could have started stays.
 *
 * @param minutes requests of each minute
 * @param perTask requests a second that a task takes
 */
export function planFor(minutes: readonly number[], perTask: number, startMinutes: number): number[] {
  const needed = minutes.map((count) => Math.max(1, Math.ceil(count / 60 / perTask)));
  const most = (from: number, to: number): number => Math.max(...needed.slice(Math.max(0, from), to + 1));
  return needed.map((_, minute) => Math.min(most(minute - startMinutes, minute), most(minute, minute + startMinutes)));
}
