/** Texts to begin with. */

const REVIEWS = [
  "A quietly devastating film that earns every one of its tears.",
  "Two hours of my life that I will never get back.",
  "The food was cold, the waiter was rude, and we still had to wait an hour.",
  "Great value, fast delivery, would buy again!",
  "It does what it says, nothing more and nothing less.",
  "I expected little and was pleasantly surprised.",
  "The battery died after three days and support never answered.",
  "Not bad at all.",
  "Not good at all.",
  "An utter delight from the first scene to the last.",
  "The manual is confusing but the device itself works well.",
  "Overpriced, overhyped and over in ten minutes.",
  "My daughter loves it and so do I.",
  "The plot makes no sense and the acting is wooden.",
  "Charming, funny and surprisingly moving.",
  "I have used it every day for a year without a single problem.",
  "The room smelled of smoke and the bed was broken.",
  "Clever, but cold.",
  "The best concert I have been to in years.",
  "The update broke everything that used to work.",
  "A bit slow in the middle, but the ending makes up for it.",
  "Avoid.",
  "Friendly staff, spotless rooms, wonderful breakfast.",
  "It is hard to imagine a lazier sequel.",
  "Warm, generous and full of life.",
  "I wanted to like it, but I could not.",
  "Works as described.",
  "The worst customer service I have ever met.",
  "Simple, sturdy and beautifully made.",
  "Neither the jokes nor the songs work.",
];

/** Name and content of each sample. */
export const SAMPLES = [
  {
    name: "One sentence",
    content: "The plot is thin, but the cast is wonderful and I left the cinema smiling.",
  },
  { name: "Three opinions", content: REVIEWS.slice(0, 3).join("\n") },
  { name: `${REVIEWS.length} reviews`, content: REVIEWS.join("\n") },
];
