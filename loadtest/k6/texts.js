// Texts in plain English whose sentiment is clear.
const SUBJECTS = [
  'the plot', 'the acting', 'this film', 'the soundtrack', 'the delivery', 'our waiter', 'the food',
  'the second half', 'the ending', 'the battery', 'this album', 'the support team', 'the hotel room',
  'the whole cast', 'the price', 'the screen', 'the dialogue', 'the camera work', 'the packaging',
];
const VERBS = ['was', 'felt', 'seemed', 'looked', 'turned out', 'remained', 'has always been'];
const DEGREES = ['', 'very', 'rather', 'really', 'not at all', 'hardly', 'surprisingly', 'far too'];
const QUALITIES = [
  'good', 'bad', 'moving', 'dull', 'charming', 'slow', 'superb', 'awful', 'clever', 'tired', 'fresh',
  'disappointing', 'brilliant', 'predictable', 'funny', 'clumsy', 'warm', 'cheap', 'elegant', 'noisy',
];
const LINKS = ['and', 'but', 'while', 'although', 'because', 'even though', 'and yet'];

// Ten short sentences that a cache soon knows.
export const POOL = [
  'What a wonderful evening.',
  'I want my money back.',
  'The staff could not have been kinder.',
  'It broke after two days.',
  'A quiet little masterpiece.',
  'Nothing about this worked for me.',
  'I would buy it again tomorrow.',
  'The worst meal in years.',
  'Every minute was a joy.',
  'I fell asleep before the end.',
];

// A review of three clauses, about 20 words. There are 4e14 of them, so that a run repeats none.
export function review(random) {
  const pick = (words) => words[Math.floor(random() * words.length)];
  const clause = () => [pick(SUBJECTS), pick(VERBS), pick(DEGREES), pick(QUALITIES)];
  const words = [...clause(), pick(LINKS), ...clause(), pick(LINKS), ...clause()];
  return words.filter((word) => word).join(' ');
}

// Mulberry32, by Tommy Ettinger (public domain): uniform in [0, 1), the same for the same seed.
export function seeded(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
