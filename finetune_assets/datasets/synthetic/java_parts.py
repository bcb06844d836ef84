"""The parts of the sample's Java files: declarations with their Javadoc.

`${Thing}` and the like stand for a domain's words. Everything here was written for this project.
"""

from __future__ import annotations

RECORD = """/**
 * One ${thing} as the ${package} keeps it: where it is and how many ${unit} it counts.
 *
 * @param ${key} what tells it from every other ${thing}
 * @param ${place} where it is to be found
 * @param ${amount} how many ${unit} it counts, never below zero
 * @param since the day on which it was entered
 */
public record ${Thing}(String ${key}, String ${place}, int ${amount}, LocalDate since)
    implements Comparable<${Thing}> {

  /** Refuses a ${thing} that nobody could find again. */
  public ${Thing} {
    Objects.requireNonNull(since, "since");
    if (${key} == null || ${key}.isBlank()) {
      throw new IllegalArgumentException("a ${thing} needs a ${key}");
    }
    if (${amount} < 0) {
      throw new IllegalArgumentException("${amount} must not be negative: " + ${amount});
    }
  }
${members}
  @Override
  public int compareTo(${Thing} other) {
    return ${key}.compareTo(other.${key});
  }
}
"""

RECORD_MEMBERS = (
    """
  /**
   * Tells how long this ${thing} has been in the books.
   *
   * @param today the day to count to
   * @return the days since it was entered, zero on the first one
   */
  public long days${Place}Holds${Thing}(LocalDate today) {
    LocalDate ${thing}Entered = since;
    return Math.max(0, ChronoUnit.DAYS.between(${thing}Entered, today));
  }
""",
    """
  /** Returns a copy of this ${thing} that stands in another ${place}; everything else is kept. */
  public ${Thing} movedTo(String other${Place}) {
    return new ${Thing}(${key}, Objects.requireNonNull(other${Place}), ${amount}, since);
  }
""",
    """
  /**
   * Splits off some of the ${unit} into a ${thing} of its own.
   *
   * @param ${amount}Taken how many ${unit} go
   * @param ${key}OfNew the ${key} of the new ${thing}
   * @return the new ${thing} in the same ${place}; this one is unchanged, as records are
   * @throws IllegalArgumentException when the ${thing} has not as many ${unit}
   */
  public ${Thing} split${Thing}(int ${amount}Taken, String ${key}OfNew) {
    if (${amount}Taken > ${amount}) {
      throw new IllegalArgumentException("only " + ${amount} + " ${unit} to take from");
    }
    return new ${Thing}(${key}OfNew, ${place}, ${amount}Taken, since);
  }
""",
    """
  /** Writes the ${thing} on one line, the ${key} first, for the printed list of the ${package}. */
  public String toLine() {
    return String.join(";", ${key}, ${place}, Integer.toString(${amount}), since.toString());
  }
""",
)

SEALED = """/** What can happen to a ${thing}; all kinds are listed, so that a switch over them needs no default. */
public sealed interface ${Thing}Event permits ${permits} {

  /** Returns the ${key} of the ${thing} that the event is about. */
  String ${key}();

  /** Returns the moment at which the ${package} noted the event. */
  Instant at();

  /**
   * Puts what happened to a ${thing} into words for the journal of the ${package}: ${told}.
   *
   * @param event what happened to the ${thing}
   * @return a line with the ${key}, without the time
   */
  static String describe(${Thing}Event event) {
    return switch (event) {
${cases}
    };
  }
${records}}
"""

ENUM = """/** The stages that a ${thing} goes through in the ${package}, in their usual order. */
public enum ${Thing}State {
${constants}

  private final boolean open;

  ${Thing}State(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a ${thing} in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a ${thing} that usually follows; the whole way is ${way}.
   *
   * @return the next stage of the ${thing}, or nothing once it is ${end}
   */
  public Optional<${Thing}State> next() {
    ${Thing}State[] ${thing}States = values();
    int following = ordinal() + 1;
    return following < ${thing}States.length ? Optional.of(${thing}States[following]) : Optional.empty();
  }
}
"""

ANNOTATION = """/**
 * Marks a method that changes the books of the ${package}, so that the audit can find it.
 *
 * <p>The audit reads it by reflection; it has no effect of its own.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface Changes${Thing} {

  /** Says in a few words why the ${thing} is changed. */
  String value();

  /** Names the stages in which the change is allowed; all of them when empty. */
  ${Thing}State[] allowedIn() default {};
${elements}}
"""

ANNOTATION_ELEMENTS = (
    """
  /** Gives the fewest ${unit} that a ${thing} must have to be changed in this way. */
  int fewest${Amount}() default 0;
""",
    """
  /** Tells whether the ${place} has to be told of the change as well. */
  boolean tell${Place}() default true;
""",
    """
  /** Names the form on paper that goes with the change, with the mark of the ${package}. */
  String form() default "${package}-0";
""",
    """
  /** Says what is written into the journal when ${things} are changed by several people at once. */
  Class<? extends RuntimeException> onConflict() default IllegalStateException.class;
""",
)

PORT = """/**
 * The way to wherever the ${package} keeps its ${things}; a test puts a map in its place.
 *
 * @param <I> what identifies a ${thing} there
 */
public interface ${Thing}Store<I extends Comparable<? super I>> {

  /**
   * Looks a ${thing} up.
   *
   * @param id its identity in the store
   * @return the ${thing}, or nothing when the store has none of that identity
   */
  Optional<${Thing}> find(I id);

  /** Stores a ${thing} under an identity; what stood there before is gone. */
  void put(I id, ${Thing} ${thing});

  Map<I, ${Thing}> all();
${members}}
"""

PORT_MEMBERS = (
    """
  /** Finds the ${thing} or makes it, so that a caller need not ask twice. */
  default ${Thing} getOrCreate(I id, Supplier<? extends ${Thing}> maker) {
    return find(id).orElseGet(() -> {
      ${Thing} made = maker.get();
      put(id, made);
      return made;
    });
  }
""",
    """
  /** Copies every ${thing} of another store that this one lacks, and returns how many came over. */
  default int adopt${Things}(${Thing}Store<I> other) {
    int ${things}Adopted = 0;
    for (Map.Entry<I, ${Thing}> other${Thing} : other.all().entrySet()) {
      if (find(other${Thing}.getKey()).isEmpty()) {
        put(other${Thing}.getKey(), other${Thing}.getValue());
        ${things}Adopted++;
      }
    }
    return ${things}Adopted;
  }
""",
    """
  /** Returns the smallest and the largest identity of any ${thing}; of an empty store nothing. */
  default List<I> firstAndLast${Thing}() {
    SortedSet<I> ${things}ById = new TreeSet<>(all().keySet());
    return ${things}ById.isEmpty() ? List.of() : List.of(${things}ById.first(), ${things}ById.last());
  }
""",
)

SERVICE = """/**
 * Keeps the ${things} of the ${package} in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the ${package} has one desk.
 */
public class ${Keeper} {

  private final Map<String, ${Thing}> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public ${Keeper}(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }
${members}}
"""

SERVICE_MEMBERS = (
    """
  /**
   * Enters a ${thing}.
   *
   * @param ${thing} what is to be kept
   * @throws IllegalStateException when its ${key} is already taken
   */
  @Changes${Thing}("a ${thing} came in")
  public void register(${Thing} ${thing}) {
    if (entries.putIfAbsent(${thing}.${key}(), ${thing}) != null) {
      throw new IllegalStateException("${key} is taken: " + ${thing}.${key}());
    }
  }
""",
    """
  /** Adds up the ${unit} of all ${things} in the books. */
  public int total${Amount}() {
    return entries.values().stream().mapToInt(${Thing}::${amount}).sum();
  }
""",
    """
  /**
   * Lists what stands in one ${place}.
   *
   * @param ${place} the ${place} to look at, in the spelling of the books
   * @return its ${things}, those with the most ${unit} first
   */
  public List<${Thing}> in${Place}(String ${place}) {
    return entries.values().stream()
        .filter(entry -> entry.${place}().equals(${place}))
        .sorted(Comparator.comparingInt(${Thing}::${amount}).reversed())
        .toList();
  }
""",
    """
  /** Works out how many ${unit} a ${thing} has on average, for each ${place}. */
  public Map<String, Double> averageBy${Place}() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            ${Thing}::${place}, TreeMap::new, Collectors.averagingInt(${Thing}::${amount})));
  }
""",
    """
  /**
   * Finds the ${things} that have been kept for too long.
   *
   * @param limit how long a ${thing} may stay
   * @return the ${key} of each that was entered before that, sorted
   */
  public SortedSet<String> overdue${Things}(Period limit) {
    LocalDate oldest${Thing} = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdue${Things} = new TreeSet<>();
    for (${Thing} ${thing} : entries.values()) {
      if (${thing}.since().isBefore(oldest${Thing})) {
        overdue${Things}.add(${thing}.${key}());
      }
    }
    return overdue${Things};
  }
""",
    """
  /**
   * Takes a ${thing} apart from the others when something is wrong with it.
   *
   * @param ${key} which ${thing}
   * @param ${place} the ${place} that is set aside for such cases
   * @return the ${thing} as it was before, or nothing when nobody knows it
   */
  @Changes${Thing}("set aside")
  public Optional<${Thing}> isolate(String ${key}, String ${place}) {
    ${Thing} before = entries.get(${key});
    if (before == null) {
      return Optional.empty();
    }
    entries.put(${key}, new ${Thing}(${key}, ${place}, before.${amount}(), before.since()));
    return Optional.of(before);
  }
""",
    """
  /**
   * Hands out ${unit} until a demand is met, smallest ${things} first, and strikes out what is used up.
   *
   * @param demand how many ${unit} are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<${Thing}> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(${Thing}::${amount}));
    int open = demand;
    for (${Thing} entry : byAmount) {
      if (open < entry.${amount}()) {
        break;
      }
      open -= entry.${amount}();
      entries.remove(entry.${key}());
    }
    return open;
  }
""",
    '''
  /** Prints the sheet that hangs at the door: one line for each ${place}, the total below. */
  public String doorSheet() {
    StringBuilder lines = new StringBuilder();
    averageBy${Place}().forEach((name, mean) -> lines.append("%-20s %8.1f%n".formatted(name, mean)));
    return """
        ${Things} of the ${package}
        %s
        Together: %d ${unit}
        """.formatted(lines, total${Amount}());
  }
''',
    """
  /** Returns one page of the ${things}, counted from zero; a page behind the last ${thing} is empty. */
  public List<${Thing}> pageOf${Things}(int number, int ${things}PerPage) {
    long first${Thing} = (long) number * ${things}PerPage;
    return entries.values().stream().skip(first${Thing}).limit(${things}PerPage).toList();
  }
""",
    """
  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.${amount}() > limit, Collectors.counting()));
  }
""",
    """
  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<${Thing}> newest() {
    return entries.values().stream().max(Comparator.comparing(${Thing}::since));
  }
""",
    """
  public boolean hasRoomFor(String ${place}, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.${place}().equals(${place}))
        .mapToInt(${Thing}::${amount})
        .sum();
    return used + more <= capacity;
  }
""",
)

FORM = """/** The paper form by which a ${thing} is asked for; it has grown with every wish of the ${package}. */
public class ${Thing}Form {

  String ${key};
  String ${place};
  String applicant;
  String telephone;
  String remarks;
  int ${amount};
  LocalDate wantedFrom;

  ${Thing}Form(
      String ${key}, String ${place}, String applicant, String telephone, String remarks, int ${amount},
      LocalDate wantedFrom) {
    this.${key} = ${key};
    this.${place} = ${place};
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.${amount} = ${amount};
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return ${key} != null && ${place} != null && applicant != null && wantedFrom != null;
  }

  public ${Thing} toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new ${Thing}(${key}, ${place}, ${amount}, first);
  }

  public String summary() {
    return "%s wants %d ${unit} in %s".formatted(applicant, ${amount}, ${place});
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (${key} == null) {
      names.add("${key}");
    }
    if (${place} == null) {
      names.add("${place}");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
"""

IMPORTS = {
    "Pattern": "java.util.regex.Pattern",
    "NoSuchElementException": "java.util.NoSuchElementException",
    "Matcher": "java.util.regex.Matcher",
    "HashMap": "java.util.HashMap",
    "EnumSet": "java.util.EnumSet",
    "Deque": "java.util.Deque",
    "Collections": "java.util.Collections",
    "Arrays": "java.util.Arrays",
    "ArrayDeque": "java.util.ArrayDeque",
    "ArrayList": "java.util.ArrayList",
    "ChronoUnit": "java.time.temporal.ChronoUnit",
    "Clock": "java.time.Clock",
    "Collectors": "java.util.stream.Collectors",
    "Comparator": "java.util.Comparator",
    "Documented": "java.lang.annotation.Documented",
    "ElementType": "java.lang.annotation.ElementType",
    "Instant": "java.time.Instant",
    "LinkedHashSet": "java.util.LinkedHashSet",
    "List": "java.util.List",
    "LocalDate": "java.time.LocalDate",
    "Map": "java.util.Map",
    "Objects": "java.util.Objects",
    "Optional": "java.util.Optional",
    "Period": "java.time.Period",
    "Retention": "java.lang.annotation.Retention",
    "RetentionPolicy": "java.lang.annotation.RetentionPolicy",
    "Set": "java.util.Set",
    "SortedSet": "java.util.SortedSet",
    "Supplier": "java.util.function.Supplier",
    "Target": "java.lang.annotation.Target",
    "TreeMap": "java.util.TreeMap",
    "TreeSet": "java.util.TreeSet",
}
"""Simple name of each type of the library that the parts use, and where it stands."""
