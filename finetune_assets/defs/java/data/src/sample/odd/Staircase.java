package sample.odd;

/** Counts the steps of a staircase. */
class Staircase {
  int steps;

  /** Adds some steps and returns how many there are now. */
  int add(int more) {
    steps += ;
    return steps
  }
}

/** Counts the landings, which a broken staircase does not keep from being sound. */
class Landing {
  private int landings;

  /** Adds a landing unless there are as many as floors already, and tells whether it did. */
  boolean addBelow(int floors) {
    if (landings >= floors) {
      return false;
    }
    landings++;
    return true;
  }
}
