package sample.odd;

/** Begrüßt Gäste in der Sprache des Hauses. */
class Empfang {
  /** Setzt den Gruß aus Anrede und Namen zusammen. */
  String gruss(String anrede, String name) {
    return "Grüß Gott, " + anrede + " " + name + "!";
  }
}
