/**
 * What of a text an embedding hardly sees and an answer hangs on: numbers, dates, negations, opposites, names, quotations,
 * code, what is asked for (when, where, why). Two texts whose marks differ, or stand in another order, don't mean the
 * same, however near their vectors are. The lists are English, with the negations of a few neighbours: a text in another
 * script has no marks, and doesn't qualify.
 */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

const NEGATIONS = words(`
  not no never without none nobody nothing neither nor cannot cant wont dont doesnt didnt isnt arent wasnt werent shouldnt
  wouldnt couldnt hasnt havent hadnt unless except excluding exclude avoid barring lacking minus instead
  nicht kein keine keinen keiner ohne nie niemals ne pas sans jamais aucun sin nunca ningún ninguna não sem nem non senza
  mai nessun niet geen zonder nooit`);

/**
 * Words that turn a meaning round. Of two opposites the one that is said in passing (`best`, `with`, `on`) is left out:
 * where the other one stands, it stands alone, and that is difference enough.
 */
const TURNS = words(`
  before after above below over under up down off left top bottom front back north south east west inside outside less
  fewer most least maximum minimum max min high higher highest low lower lowest bigger biggest larger largest small smaller
  smallest longer longest short shorter shortest taller tallest worst worse bad cheap cheaper cheapest expensive fast
  faster fastest slow slower slowest early earlier earliest late later latest first last next previous old older oldest
  new newer newest young younger youngest stop end open close enable disable increase decrease raise reduce grow shrink
  gain lose win add remove insert delete destroy buy sell lend borrow import export encrypt decrypt encode decode compress
  decompress upload download push pull send receive read input output ascending descending accept reject decline allow
  deny block grant revoke forbid include including against pros cons advantage advantages disadvantage disadvantages
  benefit benefits drawback drawbacks risk risks strength strengths weakness weaknesses legal illegal unsafe dangerous
  healthy unhealthy true false wrong public private internal external local remote hard soft hot cold warm cool wet dry
  full empty credit debit profit loss male female man men woman women boy boys girl girls child children kid kids adult
  adults baby babies always sometimes only all every both either half single married offline asynchronous formal
  informal`);

const WHEN = words(`
  january february march april may june july august september october november december jan feb mar apr jun jul aug sep
  sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun today tomorrow
  yesterday tonight now morning noon afternoon evening night midnight weekend spring summer autumn fall winter week month
  quarter year decade century daily weekly monthly quarterly yearly annual annually hourly christmas easter`);

const UNITS = words(`
  km kilometer kilometers kilometre kilometres mile miles meter meters metre metres cm mm inch inches foot feet yard yards kg
  kilogram kilograms gram grams mg pound pounds lb lbs ounce ounces liter liters litre litres ml gallon gallons celsius
  fahrenheit kelvin dollar dollars euro euros yen usd eur gbp percent second seconds minute minutes hour hours day days weeks
  months quarters years byte bytes kb mb gb tb calories`);

const NUMBERS: Readonly<Record<string, string>> = Object.fromEntries(
  `zero 0 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 ten 10 eleven 11 twelve 12 thirteen 13 fourteen 14
   fifteen 15 sixteen 16 seventeen 17 eighteen 18 nineteen 19 twenty 20 thirty 30 forty 40 fifty 50 sixty 60 seventy 70
   eighty 80 ninety 90 hundred 100 thousand 1000 million 1000000 billion 1000000000 dozen 12 twice 2x thrice 3x double 2x
   triple 3x third 3rd fourth 4th fifth 5th sixth 6th seventh 7th eighth 8th ninth 9th tenth 10th`
    .trim()
    .split(/\s+/)
    .reduce<string[][]>((pairs, word, index) => {
      if (index % 2 === 0) pairs.push([word]);
      else pairs.at(-1)?.push(word);
      return pairs;
    }, []),
);

/** Of these an answer hangs on which one it is; `what`, `which` and `how` alone are worded at will. */
const ASKED: Readonly<Record<string, string>> = { when: 'when', where: 'where', who: 'who', whom: 'who', whose: 'who' };
/** `how long` asks for something else than `how much`. */
const HOW = words('many much long old far big often fast large soon high deep wide heavy tall expensive');

/** What languages, tools and systems are called by those who don't write capitals. */
const NAMES = words(`
  python java javascript typescript rust golang ruby php swift kotlin scala perl sql html css react vue angular svelte
  django flask rails spring node nodejs bash powershell docker kubernetes terraform ansible git github gitlab aws azure
  gcp postgres postgresql mysql sqlite mongodb redis kafka linux ubuntu debian windows macos android ios iphone excel
  paypal stripe bitcoin chrome firefox safari`);

/** A word at a sentence's beginning has a capital anyway. One that isn't among these is taken for a name. */
const BEGINNINGS = words(`
  a an the this that these those my your our his her its their i you we he she it they there here what which who whom
  whose when where why how is are was were am be been do does did done can could will would should shall may might must
  have has had if in on at to from of for by with without about as and or but so not no yes please tell explain describe
  define give show list name write make create find get help let summarize summarise compare translate convert calculate
  compute solve suggest recommend provide generate draft plan choose pick spell sort read use set add remove delete open
  close start stop turn best good some any all every each many much more most best cheapest reasons ideas ways steps
  difference meaning cause causes symptoms example examples advantages disadvantages benefits during before after
  between should into over under up down new old first last next than then also just only hi hello hey thanks dear
  does's what's who's how's where's when's why's it's i'm i'd i've can't don't`);

/** Words that begin as a denial does, and are none. */
const NO_DENIAL =
  /^(under|unit|uni(?!nstall|nform)|until|unto|uncle|discuss|distan|display|discover|dish|disk|disc|disco|district|distribut|disciplin|dispatch|disorder|disease|disp|distinct|nonsense|none|mission|mister|mistake|miss|image|import|improve|impact|imply|impli|impress|immedia|irish|iron|illustrat|ill$)/;
const DENIAL = /^(un|dis|non|mis|anti|im|ir|il)[a-z]{4,}$/;

const QUOTATION =
  /"([^"\n]+)"|“([^”\n]+)”|«([^»\n]+)»|`([^`\n]+)`|(?<=^|[\s([])['‘]([^'’\n]+)['’](?=$|[\s.,;:!?)\]])/gu;
/** Many of these, and it is code: all of it counts, to the letter. */
const CODE = /```|=>|[{};]\s*$|[{}]|;\s|<\/?[a-z]+>|\b(function|const|def|class|SELECT|import)\b.*[({;=]/mu;
/** A path, an address, a name of a program's, an operator. */
const SYMBOLIC = /[\\/@#_=<>{}[\]|^~*$&+]|[a-z][A-Z]|[a-zA-Z]\.[a-zA-Z]|[A-Za-z]\d|\d[A-Za-z]|::|--|\(\S*\)/u;
const MONEY = /^[$€£¥]$/u;

/** Marks in the order in which they stand. Two texts may mean the same only if theirs are equal. */
export function marksOf(text: string): readonly string[] {
  const normal = text.normalize('NFKC').replaceAll('’', "'");
  if (CODE.test(normal)) return [`code:${normal.trim()}`];
  const marks: string[] = [];
  const rest = normal.replace(QUOTATION, (all: string) => {
    marks.push(`quoted:${all.slice(1, -1)}`);
    return ' ';
  });
  let isFirst = true;
  let previous = '';
  for (const token of rest.split(/\s+/)) {
    const bare = token.replace(/^[([{"'.,;:!?¿¡–—-]+|[)\]}"'.,;:!?–—]+$/gu, '');
    if (bare === '') {
      isFirst ||= /[.!?:]$/u.test(token);
      continue;
    }
    marks.push(...markOf(bare, isFirst, previous));
    previous = bare.toLowerCase();
    isFirst = /[.!?:]$/u.test(token);
  }
  return marks;
}

function markOf(token: string, isFirst: boolean, previous: string): string[] {
  const number = numberOf(token);
  if (number !== undefined) return [`number:${number}`];
  if (SYMBOLIC.test(token) || MONEY.test(token)) return [`symbol:${token}`];
  const word = token.toLowerCase().replace(/'s$/, '');
  if (NEGATIONS.has(word) || /n't$/.test(word)) return ['not'];
  const spelled = NUMBERS[word];
  if (spelled !== undefined) return [`number:${spelled}`];
  if (ASKED[word] !== undefined) return [`asked:${ASKED[word]}`];
  if (word === 'why') return ['asked:why'];
  if (previous === 'how' && HOW.has(word)) return [`asked:how ${word}`];
  // `may` is a month only where it is written like one.
  if (WHEN.has(word) && (word !== 'may' || (!isFirst && token !== word))) return [`when:${word}`];
  if (UNITS.has(word)) return [`unit:${word}`];
  if (NAMES.has(word)) return [`name:${word}`];
  if (DENIAL.test(word) && !NO_DENIAL.test(word)) return [`turn:${word}`];
  if (TURNS.has(word)) return [`turn:${word}`];
  const isName = /^\p{Lu}/u.test(token) && token !== 'I' && !(isFirst && BEGINNINGS.has(token.toLowerCase()));
  return isName ? [`name:${word}`] : [];
}

/** `1,000`, `1000` and `1000.0` are one number; what is around it (currency, percent) belongs to it. */
function numberOf(token: string): string | undefined {
  const match = /^([$€£¥+-]?)(\d[\d.,:/-]*)(%|°[CF]?|st|nd|rd|th|k|m|x)?$/iu.exec(token);
  if (match === null) return undefined;
  const [, before = '', digits = '', behind = ''] = match;
  const plain = digits.replaceAll(/,(?=\d{3}(\D|$))/g, '');
  const value = /^\d+(\.\d+)?$/.test(plain) ? String(Number(plain)) : plain;
  return `${before}${value}${behind.toLowerCase()}`;
}

/** Whether the lists above can see what there is: letters are Latin ones, nearly all. */
export function isLegible(text: string): boolean {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  const latin = text.match(/\p{Script=Latin}/gu)?.length ?? 0;
  return letters > 0 && latin >= letters * 0.95;
}
