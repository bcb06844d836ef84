"""The one class of each domain of the java sample that no other domain has. Written for this project."""

from __future__ import annotations

SHELF_MARK = """/**
 * Where a book stands: a subject, a number and an extension, as in {@code NAT 512.2 mur}.
 *
 * @param subject three capital letters
 * @param number the number within the subject
 * @param author the first letters of the author's name
 */
public record ShelfMark(String subject, double number, String author) implements Comparable<ShelfMark> {

  private static final Pattern FORM = Pattern.compile("([A-Z]{3}) (\\\\d+(?:\\\\.\\\\d+)?) ([a-z]{1,5})");

  /**
   * Reads a mark from the back of a book.
   *
   * @param text what stands there
   * @return the mark, or nothing when the label is torn or written by hand
   */
  public static Optional<ShelfMark> read(CharSequence text) {
    Matcher matcher = FORM.matcher(text);
    if (!matcher.matches()) {
      return Optional.empty();
    }
    return Optional.of(new ShelfMark(matcher.group(1), Double.parseDouble(matcher.group(2)), matcher.group(3)));
  }

  /** Orders books as they stand on the shelf: by subject, then by number, then by author. */
  @Override
  public int compareTo(ShelfMark other) {
    return Comparator.comparing(ShelfMark::subject)
        .thenComparingDouble(ShelfMark::number)
        .thenComparing(ShelfMark::author)
        .compare(this, other);
  }
}
"""

TIDE_CURVE = """/** The height of the water between one high tide and the next low tide, by the rule of twelfths. */
final class TideCurve {

  private static final int[] TWELFTHS = {1, 2, 3, 3, 2, 1};

  private final double high;
  private final double low;

  /**
   * Draws the curve between two tides.
   *
   * @param high height of the high tide in metres
   * @param low height of the low tide in metres
   * @throws IllegalArgumentException when the low tide is not below the high one
   */
  TideCurve(double high, double low) {
    if (low >= high) {
      throw new IllegalArgumentException("low tide %.1f is not below high tide %.1f".formatted(low, high));
    }
    this.high = high;
    this.low = low;
  }

  /** Estimates the height some hours after high tide; after six hours it is that of the low tide. */
  double heightAfter(int hours) {
    int fallen = 0;
    for (int hour = 0; hour < Math.min(hours, TWELFTHS.length); hour++) {
      fallen += TWELFTHS[hour];
    }
    return high - (high - low) * fallen / 12.0;
  }

  /**
   * Counts the whole hours after high tide in which a ship of this draught still floats.
   *
   * @param draught how deep the ship goes, in metres
   * @return the hours, six when it floats at low tide too
   */
  int hoursAfloat(double draught) {
    int hours = 0;
    while (hours < TWELFTHS.length && heightAfter(hours + 1) >= draught) {
      hours++;
    }
    return hours;
  }
}
"""

DOUGH = """/**
 * A dough by baker's percentages: every ingredient is weighed against the flour.
 *
 * @param flour grams of flour, the measure of all the rest
 * @param shares each further ingredient with its share of the flour, {@code 0.65} for 65 percent
 */
public record Dough(int flour, Map<String, Double> shares) {

  /** Keeps a copy of the shares, so that nobody changes a recipe while it is being baked. */
  public Dough {
    shares = Map.copyOf(shares);
  }

  /** Returns the grams of one ingredient; one that the recipe does not name weighs nothing. */
  public long gramsOf(String ingredient) {
    return Math.round(flour * shares.getOrDefault(ingredient, 0.0));
  }

  /** Weighs the whole dough in grams. */
  public long weight() {
    return flour + shares.keySet().stream().mapToLong(this::gramsOf).sum();
  }

  /**
   * Scales the recipe so that it fills a number of tins.
   *
   * @param tins how many tins
   * @param gramsPerTin what one tin holds
   * @return a dough of the same shares that weighs at least as much
   */
  public Dough forTins(int tins, int gramsPerTin) {
    double whole = 1 + shares.values().stream().mapToDouble(Double::doubleValue).sum();
    return new Dough((int) Math.ceil(tins * gramsPerTin / whole), shares);
  }
}
"""

ROTATION = """/** Plans which family of plants follows which: no bed bears the same one twice within four years. */
public class RotationPlan {

  /** The families that are told apart. */
  public enum Family { LEGUMES, BRASSICAS, ROOTS, ONIONS }

  private final Map<String, Deque<Family>> history = new HashMap<>();

  /**
   * Notes what grew somewhere.
   *
   * @param bed the bed's name
   * @param family what grew there this year
   */
  public void grew(String bed, Family family) {
    Deque<Family> years = history.computeIfAbsent(bed, unused -> new ArrayDeque<>());
    years.addFirst(family);
    if (years.size() > 4) {
      years.removeLast();
    }
  }

  /** Lists the families that may grow in a bed next year, those first that were away the longest. */
  public List<Family> candidates(String bed) {
    List<Family> recent = List.copyOf(history.getOrDefault(bed, new ArrayDeque<>()));
    Set<Family> resting = EnumSet.allOf(Family.class);
    resting.removeAll(recent.subList(0, Math.min(3, recent.size())));
    return resting.stream()
        .sorted(Comparator.comparingInt((Family family) -> recent.indexOf(family)).reversed())
        .toList();
  }
}
"""

SHUNTING = """/**
 * Sorts a train with one siding only, as a puzzle for apprentices.
 *
 * @param <W> what stands for a wagon
 */
final class Shunting<W extends Comparable<W>> {

  private final Deque<W> siding = new ArrayDeque<>();
  private final List<W> departed = new ArrayList<>();

  /** Pushes a wagon into the siding, after every wagon in front of it that must leave earlier has left. */
  void arrive(W wagon) {
    while (!siding.isEmpty() && siding.peek().compareTo(wagon) <= 0) {
      departed.add(siding.pop());
    }
    siding.push(wagon);
  }

  /**
   * Lets the rest out.
   *
   * @return the wagons in the order in which they left
   */
  List<W> depart() {
    while (!siding.isEmpty()) {
      departed.add(siding.pop());
    }
    return Collections.unmodifiableList(departed);
  }

  /** Tells whether the one siding was enough to bring the train in order. */
  boolean isSorted() {
    for (int place = 1; place < departed.size(); place++) {
      if (departed.get(place - 1).compareTo(departed.get(place)) > 0) {
        return false;
      }
    }
    return true;
  }
}
"""

CLIMATE = """/** Watches the air of a showcase: the last readings, their mean, and whether the wood is in danger. */
class ClimateLog {

  private final double[] humidity;
  private int count;

  /** Makes a log that remembers this many readings and forgets older ones. */
  ClimateLog(int capacity) {
    if (capacity < 2) {
      throw new IllegalArgumentException("a trend needs two readings at least");
    }
    humidity = new double[capacity];
  }

  void note(double percent) {
    humidity[count++ % humidity.length] = percent;
  }

  /** Averages what is remembered; of an empty log the mean is not a number. */
  double mean() {
    int known = Math.min(count, humidity.length);
    double sum = 0;
    for (int place = 0; place < known; place++) {
      sum += humidity[place];
    }
    return known == 0 ? Double.NaN : sum / known;
  }

  /**
   * Judges the air by the rules for painted wood.
   *
   * @return {@code true} below 40 and above 65 percent, and when two readings are more than ten apart
   */
  boolean isDangerous() {
    double lowest = Double.MAX_VALUE;
    double highest = 0;
    for (int place = 0; place < Math.min(count, humidity.length); place++) {
      lowest = Math.min(lowest, humidity[place]);
      highest = Math.max(highest, humidity[place]);
    }
    return count > 0 && (lowest < 40 || highest > 65 || highest - lowest > 10);
  }
}
"""

BEAUFORT = """/** The wind by what it does, for observers without an instrument. */
public final class Beaufort {

  private static final double[] METRES_PER_SECOND = {
    0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2, 20.8, 24.5, 28.5, 32.7
  };

  private Beaufort() {}

  /**
   * Grades a wind speed.
   *
   * @param speed metres a second, measured ten metres above ground
   * @return the force, from 0 for calm to 12 for a hurricane
   */
  public static int force(double speed) {
    int force = 0;
    while (force < METRES_PER_SECOND.length && speed >= METRES_PER_SECOND[force]) {
      force++;
    }
    return force;
  }

  /** Says how a force looks from a window, in a few words for the evening report. */
  public static String sign(int force) {
    return switch (force) {
      case 0, 1 -> "smoke rises straight up";
      case 2, 3 -> "leaves rustle, flags stretch";
      case 4, 5 -> "small trees sway";
      case 6, 7 -> "umbrellas turn, walking is hard";
      case 8, 9 -> {
        String what = force == 8 ? "twigs" : "slates";
        yield what + " come down";
      }
      default -> "nobody is looking out of the window";
    };
  }
}
"""

TRANSPOSER = """/** Moves written notes for instruments that sound another note than they read. */
public class Transposer {

  private static final List<String> NOTES =
      List.of("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B");

  /** The instruments of the orchestra that transpose, with the half-tones by which they sound lower. */
  public enum Instrument {
    CLARINET_IN_A(3),
    CLARINET_IN_B_FLAT(2),
    HORN_IN_F(7),
    TRUMPET_IN_D(-2);

    final int lower;

    Instrument(int lower) {
      this.lower = lower;
    }
  }

  /**
   * Finds what a player must read for a note to sound.
   *
   * @param sounding the note that the audience hears, with a sharp where needed
   * @param instrument who plays it
   * @return the note to write
   * @throws NoSuchElementException for a note that is not in the scale
   */
  public String written(String sounding, Instrument instrument) {
    int place = NOTES.indexOf(sounding);
    if (place < 0) {
      throw new NoSuchElementException("no such note: " + sounding);
    }
    return NOTES.get(Math.floorMod(place + instrument.lower, NOTES.size()));
  }

  /** Copies a whole line of notes for one instrument, a space between two notes. */
  public String writtenLine(String line, Instrument instrument) {
    return Arrays.stream(line.split(" +"))
        .map(note -> written(note, instrument))
        .collect(Collectors.joining(" "));
  }
}
"""

OWN_PARTS = {
    "library": ("ShelfMark", SHELF_MARK),
    "harbour": ("TideCurve", TIDE_CURVE),
    "bakery": ("Dough", DOUGH),
    "garden": ("RotationPlan", ROTATION),
    "railway": ("Shunting", SHUNTING),
    "museum": ("ClimateLog", CLIMATE),
    "observatory": ("Beaufort", BEAUFORT),
    "orchestra": ("Transposer", TRANSPOSER),
}
"""Package of each domain, and name and text of its own class."""
