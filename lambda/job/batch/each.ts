/** Calls to the table at once. */
const AT_ONCE = 40;

/** For each of them, some at once. */
export async function each<T>(all: readonly T[], call: (one: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < all.length; index = next++) await call(all[index] as T, index);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, all.length) }, work));
}
